#include "worker/api_format.h"

#include "worker/message.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Of the IANA registry "CoAP Content-Formats". */
static const struct {
    uint16_t format;
    const char *media_type;
} formats[] = {
    {0, "text/plain"},
    {40, "application/link-format"},
    {41, "application/xml"},
    {42, "application/octet-stream"},
    {47, "application/exi"},
    {50, "application/json"},
    {51, "application/json-patch+json"},
    {52, "application/merge-patch+json"},
    {60, "application/cbor"},
    {110, "application/senml+json"},
    {112, "application/senml+cbor"},
    {11542, "application/vnd.oma.lwm2m+tlv"},
    {11543, "application/vnd.oma.lwm2m+json"},
    {11544, "application/vnd.oma.lwm2m+cbor"},
};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))
#define COAP_PAYLOAD "application/coap-payload;cf="

bool api_format_find(const char *media_type, uint16_t *format)
{
    size_t length = strcspn(media_type, "; ,");
    for (size_t i = 0; i < FORMATS; i++) {
        if (strlen(formats[i].media_type) == length &&
            strncasecmp(media_type, formats[i].media_type, length) == 0) {
            *format = formats[i].format;
            return true;
        }
    }
    unsigned number;
    char rest;
    if (sscanf(media_type, COAP_PAYLOAD "%5u%c", &number, &rest) == 1 && number <= UINT16_MAX) {
        *format = (uint16_t)number;
        return true;
    }
    return false;
}

const char *api_format_known(uint16_t format)
{
    for (size_t i = 0; i < FORMATS; i++) {
        if (formats[i].format == format)
            return formats[i].media_type;
    }
    return NULL;
}

const char *api_format_text(uint16_t format, char space[API_FORMAT_TEXT_MAX])
{
    const char *known = api_format_known(format);
    if (known)
        return known;
    snprintf(space, API_FORMAT_TEXT_MAX, COAP_PAYLOAD "%u", format);
    return space;
}

uint8_t api_format_method(enum http_method method)
{
    static const uint8_t codes[HTTP_METHODS] = {
        [HTTP_GET] = CODE_GET,     [HTTP_POST] = CODE_POST,     [HTTP_PUT] = CODE_PUT,
        [HTTP_PATCH] = CODE_PATCH, [HTTP_DELETE] = CODE_DELETE,
    };
    return codes[method];
}

/* RFC 8075 section 7, table 2; the codes of later RFCs by their meaning. */
static const struct {
    uint8_t code;
    int status;
} statuses[] = {
    {CODE_CREATED, 201},
    {CODE_DELETED, 204},
    {CODE_VALID, 304},
    {CODE_CHANGED, 204},
    {CODE_CONTENT, 200},
    {CODE_BAD_REQUEST, 400},
    {CODE_UNAUTHORIZED, 403},
    {CODE_BAD_OPTION, 400},
    {CODE_FORBIDDEN, 403},
    {CODE_NOT_FOUND, 404},
    {CODE_METHOD_NOT_ALLOWED, 405},
    {CODE_NOT_ACCEPTABLE, 406},
    {CODE_INCOMPLETE, 400},
    {CODE_CONFLICT, 409},
    {CODE_PRECONDITION_FAILED, 412},
    {CODE_TOO_LARGE, 413},
    {CODE_UNSUPPORTED_FORMAT, 415},
    {CODE_UNPROCESSABLE, 422},
    {CODE_TOO_MANY_REQUESTS, 429},
    {CODE_INTERNAL_ERROR, 500},
    {CODE_NOT_IMPLEMENTED, 501},
    {CODE_BAD_GATEWAY, 502},
    {CODE_UNAVAILABLE, 503},
    {CODE_GATEWAY_TIMEOUT, 504},
    {CODE_PROXYING_NOT_SUPPORTED, 502},
};

int api_format_status(uint8_t code, bool has_body)
{
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (statuses[i].code == code)
            return statuses[i].status == 204 && has_body ? 200 : statuses[i].status;
    }
    return 502;
}
