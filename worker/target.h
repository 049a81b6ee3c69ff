/* What a request of ours is about, as text: path and query of a URI (RFC 3986), "/a/b%20c?d=e&f",
 * and the Uri-Path and Uri-Query options that it means (RFC 7252 section 6.4, steps 8 and 9). */
#ifndef HOLDFAST_WORKER_TARGET_H
#define HOLDFAST_WORKER_TARGET_H

#include "shared/octets.h"
#include "worker/message.h"
#include "worker/request.h"

#include <stdbool.h>

#define TARGET_MAX 255        /* octets */
#define TARGET_OPTIONS_MAX 24 /* segments and arguments; a message has room for as many */

/* It begins with a slash, is no longer than this and its parts no more, and each % is followed by
 * two hex digits. */
bool target_is_valid(struct octets target);

/* Uri-Path options, one a segment; none for "/". The target is valid. */
void target_add_path(struct message_builder *builder, struct octets target);
/* Uri-Query options, one an argument. */
void target_add_query(struct message_builder *builder, struct octets target);

/* The reverse (RFC 7252 section 6.5, steps 6 and 7): path and query of a request, spelled in one
 * way only, "/" without options. What does not fit fails the writer. */
void target_write(struct writer *writer, const struct request_span *path,
                  const struct request_span *queries);
/* "/" and a segment. */
void target_write_segment(struct writer *writer, struct octets segment);

#endif
