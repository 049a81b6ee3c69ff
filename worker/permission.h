/* Who may do something to which topics: a list of IDENTITY or IDENTITY=TOPIC, with commas between
 * them, each a pattern whose last "*" stands for anything: "meter-*=water-*,operator". Without a
 * topic: all of them. An empty list allows nobody. */
#ifndef HOLDFAST_WORKER_PERMISSION_H
#define HOLDFAST_WORKER_PERMISSION_H

#include "shared/limits.h"
#include "shared/octets.h"
#include "shared/status.h"

#include <stdbool.h>
#include <stddef.h>

struct permission {
    struct octets identity;
    struct octets topic;
};

/* Views of the text that was parsed. */
struct permissions {
    struct permission rows[PERMISSIONS_MAX];
    size_t count;
};

/* The text outlives the list. STATUS_FULL; STATUS_MALFORMED: an empty pattern, or a "*" that is not
 * the last of its pattern. */
MUST_USE enum status permissions_parse(struct permissions *permissions, const char *text);
bool permissions_allow(const struct permissions *permissions, struct octets identity,
                       struct octets topic);

#endif
