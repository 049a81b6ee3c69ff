/* What a request of the operators' API asks for; worker/api.h has the paths. */
#ifndef HOLDFAST_WORKER_API_WISH_H
#define HOLDFAST_WORKER_API_WISH_H

#include "shared/cid.h"
#include "shared/http.h"
#include "worker/target.h"

#include <stdbool.h>
#include <stdint.h>

enum api_kind { API_RESOURCE, API_OBSERVE, API_LIST, API_CANCEL };

/* Its views are of the struct http_request and of `space`, until who keeps it has copied them. */
struct api_wish {
    enum api_kind kind;
    struct cid cid;
    uint8_t method;
    struct octets target; /* of the device's resource; may be "/" */
    uint8_t slot;         /* API_CANCEL */
    bool has_format, has_accept;
    uint16_t format, accept;
    struct octets body;
};

/* HTTP_LATER: `wish`, all zeros before, is to be granted. HTTP_DONE: `reply` says why not. */
enum http_outcome api_wish_read(const struct http_request *request, struct api_wish *wish,
                                char space[TARGET_MAX + 1], struct http_reply *reply);

#endif
