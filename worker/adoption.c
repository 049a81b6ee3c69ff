#include "worker/adoption.h"

#include <stdlib.h>
#include <string.h>

#include "worker/metrics.h"

struct held {
    struct path path;
    uint16_t length;
    uint8_t *bytes; /* owned */
};

struct adoption {
    struct cid name; /* the session's CID, or what stands for an address */
    struct held held[ADOPTION_HELD_MAX];
    size_t held_count;
    bool is_wanted; /* by adoption_claim */
};

static void count(struct adoptions *adoptions, enum worker_metric metric, uint64_t n)
{
    metrics_add(adoptions->options.metrics, 0, metric, n);
}

static bool name_match(const void *object, const void *key)
{
    const struct adoption *adoption = object;
    return cid_equal(&adoption->name, key);
}

static uint64_t hash_name(const struct adoptions *adoptions, const struct cid *name)
{
    return hash_bytes(&adoptions->options.hash_key, name->bytes, name->length);
}

static uint64_t name_hash(const void *context, const void *object)
{
    const struct adoption *adoption = object;
    return hash_name(context, &adoption->name);
}

/* An address in the form of a CID whose config id says that it is none. */
static struct cid name_of_address(const struct address *address)
{
    struct cid name = {.length = 1 + ADDRESS_WIRE_SIZE, .bytes = {0xff}};
    struct writer writer = writer_over(name.bytes + 1, ADDRESS_WIRE_SIZE);
    address_write(&writer, address);
    return name;
}
_Static_assert(1 + ADDRESS_WIRE_SIZE <= CID_LENGTH_MAX, "an address fits a CID");

enum status adoptions_init(struct adoptions *adoptions, const struct adoptions_options *options)
{
    *adoptions = (struct adoptions){.options = *options};
    enum status status =
        pool_init(&adoptions->pool, sizeof(struct adoption), options->adoptions_max);
    if (status == STATUS_OK)
        status = table_init(&adoptions->by_name, options->adoptions_max, name_match, name_hash,
                            adoptions);
    return status;
}

static void forget(struct adoptions *adoptions, struct adoption *adoption)
{
    for (size_t i = 0; i < adoption->held_count; i++)
        free(adoption->held[i].bytes);
    table_remove(&adoptions->by_name, name_hash(adoptions, adoption), adoption);
    pool_put(&adoptions->pool, adoption);
}

void adoptions_free(struct adoptions *adoptions)
{
    for (;;) {
        size_t cursor = 0;
        struct adoption *adoption = table_next(&adoptions->by_name, &cursor);
        if (!adoption)
            break;
        forget(adoptions, adoption);
    }
    table_free(&adoptions->by_name);
    pool_free(&adoptions->pool);
}

static void hold(struct adoptions *adoptions, struct adoption *adoption, const struct path *path,
                 const uint8_t *datagram, size_t length)
{
    struct held *held = &adoption->held[adoption->held_count];
    if (adoption->held_count == ADOPTION_HELD_MAX || length > DATAGRAM_SIZE_MAX ||
        !(held->bytes = malloc(length))) {
        count(adoptions, WORKER_DROPPED_CLAIMS_FULL, 1);
        return;
    }
    memcpy(held->bytes, datagram, length);
    held->length = (uint16_t)length;
    held->path = *path;
    adoption->held_count++;
    count(adoptions, WORKER_RECORDS_HELD, 1);
}

static struct adoption *begin(struct adoptions *adoptions, const struct cid *name)
{
    struct adoption *adoption = pool_get(&adoptions->pool);
    if (!adoption)
        return NULL;
    adoption->name = *name;
    if (table_insert(&adoptions->by_name, hash_name(adoptions, name), adoption) == STATUS_OK)
        return adoption;
    pool_put(&adoptions->pool, adoption);
    return NULL;
}

static struct adoption *find(struct adoptions *adoptions, const struct cid *name)
{
    return table_find(&adoptions->by_name, hash_name(adoptions, name), name);
}

/* --- what the store says --- */

/* Takes what was held out before it is received: that may begin another adoption. */
static void release(struct adoptions *adoptions, struct adoption *adoption)
{
    struct adoption taken = *adoption;
    adoption->held_count = 0;
    forget(adoptions, adoption);
    for (size_t i = 0; i < taken.held_count; i++) {
        struct held *held = &taken.held[i];
        adoptions->options.receive(adoptions->options.owner, &held->path, held->bytes,
                                   held->length);
        free(held->bytes);
    }
}

static void drop(struct adoptions *adoptions, struct adoption *adoption, enum worker_metric reason)
{
    count(adoptions, reason, adoption->held_count);
    forget(adoptions, adoption);
}

static void drop_unanswered(struct adoptions *adoptions, struct adoption *adoption,
                            enum store_outcome outcome)
{
    switch (outcome) {
    case STORE_NOT_FOUND:
        drop(adoptions, adoption, WORKER_DROPPED_NO_SESSION);
        break;
    case STORE_OK:
    case STORE_EXISTS:
    case STORE_STALE:
    case STORE_UNAVAILABLE:
        drop(adoptions, adoption, WORKER_DROPPED_STORE);
        break;
    }
}

static void claimed(void *owner, const struct store_answer *answer)
{
    struct adoptions *adoptions = owner;
    struct adoption *adoption = find(adoptions, &answer->subject);
    enum status status = STATUS_SYSTEM;
    if (answer->outcome == STORE_OK)
        status = adoptions->options.adopt(adoptions->options.owner, &answer->subject, answer);
    if (answer->outcome == STORE_UNAVAILABLE || status == STATUS_EXISTS)
        adoptions->options.missed(adoptions->options.owner, &answer->subject);
    if (!adoption)
        return;
    if (adoption->is_wanted)
        adoptions->options.claimed(adoptions->options.owner, &answer->subject,
                                   status == STATUS_EXISTS ? STORE_UNAVAILABLE : answer->outcome);
    if (answer->outcome != STORE_OK)
        drop_unanswered(adoptions, adoption, answer->outcome);
    else if (status != STATUS_OK)
        drop(adoptions, adoption, WORKER_DROPPED_STORE);
    else
        release(adoptions, adoption);
}

static enum status claim(struct adoptions *adoptions, struct adoption *adoption)
{
    const struct store_waiter waiter = {claimed, adoptions, adoption->name, 0};
    enum status status =
        store_claim_session(adoptions->options.store, adoptions->options.worker_id, &waiter);
    if (status != STATUS_OK)
        drop(adoptions, adoption, WORKER_DROPPED_CLAIMS_FULL);
    return status;
}

/* The address has a session. Its adoption goes on under the CID, or joins one that is under way; or
 * it is over, for another datagram, and one more claim would make ours of before it stale. */
static void found(void *owner, const struct store_answer *answer)
{
    struct adoptions *adoptions = owner;
    struct adoption *nameless = find(adoptions, &answer->subject);
    if (!nameless)
        return;
    if (answer->outcome != STORE_OK || answer->value.length > CID_LENGTH_MAX) {
        drop_unanswered(adoptions, nameless, answer->outcome);
        return;
    }
    struct cid cid = {.length = (uint8_t)answer->value.length};
    memcpy(cid.bytes, answer->value.bytes, answer->value.length);
    struct adoption *named = find(adoptions, &cid);
    if (!named && adoptions->options.holds(adoptions->options.owner, &cid)) {
        release(adoptions, nameless);
        return;
    }
    bool under_way = named != NULL;
    if (!named)
        named = begin(adoptions, &cid);
    if (!named) {
        drop(adoptions, nameless, WORKER_DROPPED_CLAIMS_FULL);
        return;
    }
    for (size_t i = 0; i < nameless->held_count; i++) {
        struct held *held = &nameless->held[i];
        if (named->held_count < ADOPTION_HELD_MAX) {
            named->held[named->held_count++] = *held;
        } else {
            free(held->bytes);
            count(adoptions, WORKER_DROPPED_CLAIMS_FULL, 1);
        }
    }
    nameless->held_count = 0;
    forget(adoptions, nameless);
    if (!under_way)
        (void)!claim(adoptions, named);
}

/* --- what the network brings --- */

void adoption_hold_by_cid(struct adoptions *adoptions, const struct cid *cid,
                          const struct path *path, const uint8_t *datagram, size_t length)
{
    struct adoption *adoption = find(adoptions, cid);
    bool under_way = adoption != NULL;
    if (!adoption)
        adoption = begin(adoptions, cid);
    if (!adoption) {
        count(adoptions, WORKER_DROPPED_CLAIMS_FULL, 1);
        return;
    }
    hold(adoptions, adoption, path, datagram, length);
    if (!under_way)
        (void)!claim(adoptions, adoption);
}

void adoption_hold_by_address(struct adoptions *adoptions, const struct path *path,
                              const uint8_t *datagram, size_t length)
{
    struct cid name = name_of_address(&path->address);
    struct adoption *adoption = find(adoptions, &name);
    if (adoption) {
        hold(adoptions, adoption, path, datagram, length);
        return;
    }
    adoption = begin(adoptions, &name);
    if (!adoption) {
        count(adoptions, WORKER_DROPPED_CLAIMS_FULL, 1);
        return;
    }
    hold(adoptions, adoption, path, datagram, length);
    const struct store_waiter waiter = {found, adoptions, name, 0};
    if (store_find_session(adoptions->options.store, &path->address, &waiter) != STATUS_OK)
        drop(adoptions, adoption, WORKER_DROPPED_CLAIMS_FULL);
}

enum status adoption_claim(struct adoptions *adoptions, const struct cid *cid)
{
    struct adoption *adoption = find(adoptions, cid);
    enum status status = STATUS_OK;
    bool under_way = adoption != NULL;
    if (!adoption)
        adoption = begin(adoptions, cid);
    if (!adoption)
        return STATUS_FULL;
    if (adoption->is_wanted)
        return STATUS_EXISTS;
    if (!under_way)
        status = claim(adoptions, adoption);
    if (status == STATUS_OK)
        adoption->is_wanted = true;
    return status;
}
