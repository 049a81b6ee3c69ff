/* The operators' HTTP API: what a device's resources are, through the worker that holds its
 * session.
 *
 *   GET, PUT, POST, PATCH, DELETE /api/v1/sessions/CID/resources/PATH?QUERY  as the device answers
 *   POST   /api/v1/sessions/CID/observations  {"path": "/temp?x", "accept": "application/json"}
 *   GET    /api/v1/sessions/CID/observations  all of this session
 *   DELETE /api/v1/sessions/CID/observations/ID
 *
 * CID: the server's Connection ID in hex, as /whoami and the event log name a session. A session
 * that another worker is to have: 307 to that one; one that is in the store only is claimed first.
 * Errors are problem details (RFC 9457), with "coap_code" where the device's answer is the reason;
 * codes follow RFC 8075 section 7. Where no answer comes: 504. */
#ifndef HOLDFAST_WORKER_API_H
#define HOLDFAST_WORKER_API_H

#include "shared/cid.h"
#include "shared/http.h"
#include "shared/status.h"
#include "shared/store.h"
#include "worker/client.h"
#include "worker/heirs.h"

#include <stdbool.h>
#include <stddef.h>

#define API_PREFIX "/api/"
#define API_SESSIONS API_PREFIX "v1/sessions/"

struct api_options {
    struct http *http; /* outlives the API; its requests under API_PREFIX are for api_serve */
    struct client *client;
    struct heirs *heirs;
    struct metrics *metrics;
    uint16_t worker_id;
    /* The session's peer, if the session is in memory. */
    bool (*find)(void *owner, const struct cid *cid, struct coap_peer *peer);
    /* As dtls_claim; api_claimed is told. */
    enum status (*claim)(void *owner, const struct cid *cid);
    void *owner;
};

struct api_call;

struct api {
    struct api_options options;
    struct api_call *calls; /* that wait */
    size_t waiting;         /* at most API_WAITING_MAX */
};

void api_init(struct api *api, const struct api_options *options);
/* Whoever waits is left to http_stop. */
void api_free(struct api *api);

/* An http_serve_fn; owner: struct api. */
enum http_outcome api_serve(void *owner, const struct http_request *request,
                            struct http_reply *reply);

/* What came of a claim. Whether it was for a call of the API. */
bool api_claimed(struct api *api, const struct cid *cid, enum store_outcome outcome);

#endif
