/* What CoAP and HTTP call the same: media types, methods and codes (RFC 8075). */
#ifndef HOLDFAST_WORKER_API_FORMAT_H
#define HOLDFAST_WORKER_API_FORMAT_H

#include "shared/http.h"

#include <stdbool.h>
#include <stdint.h>

/* Parameters behind a semicolon do not count. False: a media type that has no number here. */
bool api_format_find(const char *media_type, uint16_t *format);
/* Static; NULL: none. */
const char *api_format_known(uint16_t format);
/* Where there is none: "application/coap-payload;cf=N", as RFC 8075 section 6.2 has it; static, or
 * in `space`. */
#define API_FORMAT_TEXT_MAX 48
const char *api_format_text(uint16_t format, char space[API_FORMAT_TEXT_MAX]);

uint8_t api_format_method(enum http_method method);
/* The HTTP status for a response code; 502 for one that is none. */
int api_format_status(uint8_t code, bool has_body);

#endif
