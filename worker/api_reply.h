/* What the operators' API answers; worker/api.h says to what. */
#ifndef HOLDFAST_WORKER_API_REPLY_H
#define HOLDFAST_WORKER_API_REPLY_H

#include "shared/cid.h"
#include "shared/http.h"
#include "shared/status.h"
#include "worker/client.h"

#include <stdint.h>

/* RFC 9457. `detail` is a text of ours without quotes, or NULL; `code` the device's, or 0. */
void api_reply_problem(struct http_reply *reply, int status, const char *title, const char *detail,
                       uint8_t code);
/* A problem that is known at once. */
enum http_outcome api_reply_refuse(struct http_reply *reply, int status, const char *title,
                                   const char *detail);
/* Why errand_begin, observation_begin or observation_cancel did not. */
void api_reply_not_begun(struct http_reply *reply, enum status status);
void api_reply_errand(struct http_reply *reply, const struct errand_result *result);
/* `cid` names the session in the Location of an observation that has begun. */
void api_reply_observation(struct http_reply *reply, const struct cid *cid,
                           const struct observation_result *result);
/* The observations that this session holds, as JSON. */
void api_reply_list(struct http_reply *reply, const struct client *client, uint64_t session_id);

#endif
