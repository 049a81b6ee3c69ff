/* The master that sentinels name (Redis Sentinel client specification): one is asked after another
 * until one knows it; the server must then say ROLE master itself. Asked again, every
 * REDIS_REFRESH_MS, for as long as there is no connection to a master: after it was lost, or has
 * answered READONLY. */
#ifndef HOLDFAST_SHARED_REDIS_SENTINEL_H
#define HOLDFAST_SHARED_REDIS_SENTINEL_H

#include "shared/redis_link.h"

struct redis_sentinel;

/* The URL's hosts are the sentinels; options->role is not looked at. */
MUST_USE enum status redis_sentinel_new(struct redis_sentinel **sentinel,
                                        const struct redis_link_options *options);
void redis_sentinel_free(struct redis_sentinel *sentinel);

/* The link to the master; NULL: none has been named yet. It may not be ready. */
struct redis_link *redis_sentinel_master(const struct redis_sentinel *sentinel);

void redis_sentinel_run(struct redis_sentinel *sentinel, uint64_t now_ms);
void redis_sentinel_flush(struct redis_sentinel *sentinel);
uint64_t redis_sentinel_next_ms(const struct redis_sentinel *sentinel);
/* The link that is not well; NULL: `fault` tells of the sentinels as a whole. */
const struct redis_link *redis_sentinel_trouble(const struct redis_sentinel *sentinel,
                                                enum redis_fault *fault);

#endif
