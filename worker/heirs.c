#include "worker/heirs.h"

#include "shared/log.h"
#include "shared/rendezvous.h"
#include "worker/metrics.h"

#include <stdlib.h>
#include <string.h>

/* Equal lists in a row that are believed: one more than the first. After trouble with the store
 * members enter again one by one, and are waited for. */
#define AGREED 2
#define AGREED_AFTER_TROUBLE (1 + 2 * MEMBER_BEAT_MS / HEIRS_MEMBERS_MS)

static void count(struct heirs *heirs, enum worker_metric metric)
{
    metrics_add(heirs->options.metrics, 0, metric, 1);
}

enum status heirs_init(struct heirs *heirs, const struct heirs_options *options, uint64_t now_ms)
{
    *heirs = (struct heirs){
        .options = *options,
        .members_due_ms = now_ms,
        .listed_ms = now_ms,
        .is_wanted = true,
        .look_ms = HEIRS_LOOK_MS,
        .missed_wait_ms = HEIRS_RETRY_MS,
        .now_ms = now_ms,
    };
    heirs->queue = calloc(STORE_OBLIGED_MAX, sizeof(*heirs->queue));
    return heirs->queue ? STATUS_OK : STATUS_NO_MEMORY;
}

void heirs_free(struct heirs *heirs)
{
    free(heirs->queue);
    heirs->queue = NULL;
}

static void want(struct heirs *heirs, uint64_t at_ms)
{
    heirs->wanted_ms = heirs->is_wanted && heirs->wanted_ms < at_ms ? heirs->wanted_ms : at_ms;
    heirs->is_wanted = true;
}

/* --- who serves --- */

static struct heirs_members members_of(const struct store_answer *answer)
{
    struct heirs_members members = {0};
    for (size_t i = 0; i < answer->member_count && members.count < WORKERS_MAX; i++) {
        const struct store_member *member = &answer->members[i];
        if (member->state != STORE_SERVING)
            continue;
        members.ids[members.count] = member->worker_id;
        members.boots[members.count] = member->boot;
        members.https[members.count] = member->http;
        members.count++;
    }
    return members;
}

static bool is_same(const struct heirs_members *a, const struct heirs_members *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (a->ids[i] != b->ids[i] || boot_id_compare(&a->boots[i], &b->boots[i]) != 0)
            return false;
    }
    return true;
}

static void members_listed(void *owner, const struct store_answer *answer)
{
    struct heirs *heirs = owner;
    heirs->asks_members = false;
    if (answer->outcome != STORE_OK) {
        heirs->has_trouble = true;
        return;
    }
    if (heirs->now_ms - heirs->listed_ms > HEIRS_DOUBT_MS)
        want(heirs, heirs->now_ms);
    heirs->listed_ms = heirs->now_ms;
    struct heirs_members members = members_of(answer);
    if (is_same(&members, &heirs->members)) {
        heirs->agreed = heirs->agreed < UINT8_MAX ? heirs->agreed + 1 : UINT8_MAX;
        return;
    }
    /* What was begun under the old list goes on where it does no harm: claims that are under way.
     */
    heirs->members = members;
    heirs->agreed = 1;
    heirs->is_searching = false;
    heirs->queued = 0;
    heirs->is_wanted = true;
    heirs->wanted_ms = 0;
    heirs->look_ms = HEIRS_LOOK_MS;
    heirs->missed_wait_ms = HEIRS_RETRY_MS;
}

static void ask_members(struct heirs *heirs)
{
    const struct store_waiter waiter = {.answer = members_listed, .owner = heirs};
    if (heirs->asks_members || heirs->now_ms < heirs->members_due_ms)
        return;
    heirs->members_due_ms = heirs->now_ms + HEIRS_MEMBERS_MS;
    heirs->asks_members = store_list_members(heirs->options.store, &waiter) == STATUS_OK;
}

static size_t find_member(const struct heirs_members *members, uint64_t id)
{
    size_t at = 0;
    while (at < members->count && members->ids[at] != id)
        at++;
    return at;
}

uint16_t heirs_route(const struct heirs *heirs, const struct cid *cid)
{
    const struct heirs_members *members = &heirs->members;
    uint8_t worker[CID_LENGTH_MAX], nonce[CID_LENGTH_MAX];
    struct rendezvous rendezvous;
    if (cid_decode(heirs->options.configs, cid->bytes, cid->length, worker, nonce) != CID_ROUTABLE)
        return 0;
    const struct cid_config *config = &heirs->options.configs[cid->bytes[0] >> 5];
    uint64_t named = cid_worker_number(worker, config->worker_id_length);
    if (find_member(members, named) < members->count)
        return (uint16_t)named;
    rendezvous_begin(&rendezvous, &heirs->options.hash_key, cid->bytes, cid->length);
    for (size_t i = 0; i < members->count; i++)
        (void)rendezvous_offer(&rendezvous, members->ids[i]);
    return rendezvous.has_best ? rendezvous.best : 0;
}

const struct address *heirs_http(const struct heirs *heirs, uint16_t worker_id)
{
    size_t at = find_member(&heirs->members, worker_id);
    return at < heirs->members.count ? &heirs->members.https[at] : NULL;
}

/* --- what is missing --- */

void heirs_miss(struct heirs *heirs, const struct cid *cid)
{
    for (size_t i = 0; i < heirs->missed_count; i++) {
        if (cid_equal(&heirs->missed[i], cid))
            return;
    }
    if (heirs->missed_count == HEIRS_MISSED_MAX) {
        want(heirs, heirs->now_ms + HEIRS_RETRY_MS);
        return;
    }
    if (heirs->now_ms - heirs->missed_ms > 2 * HEIRS_RETRY_MOST_MS)
        heirs->missed_wait_ms = HEIRS_RETRY_MS;
    if (heirs->missed_count == 0)
        heirs->missed_due_ms = heirs->now_ms + heirs->missed_wait_ms;
    heirs->missed[heirs->missed_count++] = *cid;
}

static void claim_missed(struct heirs *heirs)
{
    size_t before = heirs->asking;
    if (heirs->now_ms < heirs->missed_due_ms || !heirs->options.is_reached(heirs->options.owner))
        return;
    while (heirs->missed_count > 0 && heirs->asking < HEIRS_CLAIMS_MAX) {
        const struct cid *cid = &heirs->missed[heirs->missed_count - 1];
        enum status status = STATUS_EXISTS;
        if (!heirs->options.holds(heirs->options.owner, cid))
            status = heirs->options.claim(heirs->options.owner, cid);
        if (status != STATUS_OK && status != STATUS_EXISTS)
            break; /* with the next turn */
        heirs->asking += status == STATUS_OK;
        heirs->missed_count--;
    }
    if (heirs->asking == before)
        return;
    heirs->missed_ms = heirs->now_ms;
    if (heirs->missed_wait_ms < HEIRS_RETRY_MOST_MS)
        heirs->missed_wait_ms *= 2;
}

/* --- the search --- */

void heirs_claimed(struct heirs *heirs, enum store_outcome outcome)
{
    heirs->asking--;
    switch (outcome) {
    case STORE_OK:
        count(heirs, WORKER_HEIRS_CLAIMED);
        break;
    case STORE_NOT_FOUND:   /* it has ended */
    case STORE_UNAVAILABLE: /* heirs_miss is told */
    case STORE_EXISTS:
    case STORE_STALE:
        break;
    }
}

void heirs_checked(struct heirs *heirs, const struct cid *cid, enum store_outcome outcome)
{
    bool is_elsewhere = heirs_route(heirs, cid) != heirs->options.worker_id;
    heirs->asking--;
    switch (outcome) {
    case STORE_OK:
        heirs->elsewhere += is_elsewhere;
        break;
    case STORE_STALE:
        if (is_elsewhere)
            count(heirs, WORKER_HEIRS_GIVEN);
        else
            heirs_miss(heirs, cid);
        break;
    case STORE_UNAVAILABLE:
        heirs->has_failed = true;
        break;
    case STORE_NOT_FOUND:
    case STORE_EXISTS:
        break;
    }
}

static void judge(struct heirs *heirs, const struct cid *cid)
{
    uint16_t route = heirs_route(heirs, cid);
    bool is_held = heirs->options.holds(heirs->options.owner, cid);
    bool is_ours = route == heirs->options.worker_id || (route != 0 && is_held);
    if (is_ours && heirs->queued < STORE_OBLIGED_MAX)
        heirs->queue[heirs->queued++] = *cid;
}

static void page_listed(void *owner, const struct store_answer *answer)
{
    struct heirs *heirs = owner;
    heirs->asks_page = false;
    if (!heirs->is_searching)
        return; /* given up since */
    if (answer->outcome != STORE_OK) {
        heirs->has_failed = true;
        heirs->page++;
        heirs->from = 0;
        return;
    }
    struct cursor cursor = cursor_over(answer->value.bytes, answer->value.length);
    while (cursor_left(&cursor) > 0) {
        struct cid cid = {.length = cursor_u8(&cursor)};
        const uint8_t *bytes = cursor_bytes(&cursor, cid.length);
        if (!bytes || cid.length == 0 || cid.length > CID_LENGTH_MAX)
            break;
        memcpy(cid.bytes, bytes, cid.length);
        judge(heirs, &cid);
    }
    heirs->from = answer->first;
    if (heirs->from == 0)
        heirs->page++;
}

static void ask_page(struct heirs *heirs)
{
    const struct store_waiter waiter = {.answer = page_listed, .owner = heirs};
    if (heirs->asks_page || heirs->queued > 0 || heirs->page == STORE_OBLIGED_PAGES)
        return;
    heirs->asks_page = store_list_obliged(heirs->options.store, (uint8_t)heirs->page, heirs->from,
                                          &waiter) == STATUS_OK;
}

static enum status ask(struct heirs *heirs, const struct cid *cid)
{
    if (heirs->options.holds(heirs->options.owner, cid))
        return heirs->options.check(heirs->options.owner, cid);
    if (heirs_route(heirs, cid) == heirs->options.worker_id)
        return heirs->options.claim(heirs->options.owner, cid);
    return STATUS_EXISTS; /* it has gone meanwhile */
}

static void ask_queued(struct heirs *heirs)
{
    while (heirs->queued > 0 && heirs->asking < HEIRS_CLAIMS_MAX) {
        enum status status = ask(heirs, &heirs->queue[heirs->queued - 1]);
        if (status != STATUS_OK && status != STATUS_EXISTS)
            return; /* with the next turn */
        heirs->asking += status == STATUS_OK;
        heirs->queued--;
    }
}

/* Whoever does not serve by the list himself cannot tell from it what is his, or leaves. */
static bool may_begin(const struct heirs *heirs)
{
    uint8_t agreed = heirs->has_trouble ? AGREED_AFTER_TROUBLE : AGREED;
    return heirs->is_wanted && heirs->now_ms >= heirs->wanted_ms && !heirs->is_searching &&
           !heirs->asks_page && heirs->agreed >= agreed &&
           find_member(&heirs->members, heirs->options.worker_id) < heirs->members.count &&
           heirs->options.is_reached(heirs->options.owner);
}

static void begin(struct heirs *heirs)
{
    heirs->is_wanted = false;
    heirs->has_trouble = false;
    heirs->is_searching = true;
    heirs->has_failed = false;
    heirs->elsewhere = 0;
    heirs->page = 0;
    heirs->from = 0;
    heirs->queued = 0;
    count(heirs, WORKER_HEIRS_SEARCHES);
}

static void end(struct heirs *heirs)
{
    heirs->is_searching = false;
    if (heirs->has_failed)
        want(heirs, heirs->now_ms + HEIRS_RETRY_MS);
    if (heirs->elsewhere == 0)
        return;
    want(heirs, heirs->now_ms + heirs->look_ms);
    heirs->look_ms =
        heirs->look_ms < HEIRS_LOOK_MOST_MS / 2 ? 2 * heirs->look_ms : HEIRS_LOOK_MOST_MS;
}

void heirs_run(struct heirs *heirs, uint64_t now_ms)
{
    heirs->now_ms = now_ms;
    ask_members(heirs);
    if (heirs->missed_count > 0)
        claim_missed(heirs);
    if (may_begin(heirs))
        begin(heirs);
    if (!heirs->is_searching)
        return;
    ask_queued(heirs);
    ask_page(heirs);
    if (heirs->page == STORE_OBLIGED_PAGES && heirs->queued == 0 && heirs->asking == 0)
        end(heirs);
}

uint64_t heirs_next_ms(const struct heirs *heirs)
{
    return heirs->asks_members ? UINT64_MAX : heirs->members_due_ms;
}
