#include "lb/roster.h"

#include "lb/metrics.h"
#include "shared/log.h"

#include <errno.h>

#define MODULE "roster"

enum status roster_init(struct roster *roster, struct store *store, struct metrics *metrics)
{
    *roster = (struct roster){.store = store, .metrics = metrics};
    errno = pthread_mutex_init(&roster->lock, NULL);
    return errno == 0 ? STATUS_OK : STATUS_SYSTEM;
}

void roster_free(struct roster *roster)
{
    (void)pthread_mutex_destroy(&roster->lock);
}

/* --- lists --- */

static bool is_usable(const struct store_member *entry)
{
    const struct address any_v6 = {.port = entry->link.port};
    const struct address any_v4 = {.ip = {[10] = 0xff, [11] = 0xff}, .port = entry->link.port};
    return entry->worker_id != 0 && entry->link.port != 0 &&
           !address_equal(&entry->link, &any_v6) && !address_equal(&entry->link, &any_v4);
}

/* An entry with the same address that counts instead of this one. */
static bool is_outdone(const struct store_member *listed, size_t count, size_t at)
{
    for (size_t i = 0; i < count; i++) {
        if (i == at || !is_usable(&listed[i]) || !address_equal(&listed[i].link, &listed[at].link))
            continue;
        int order = boot_id_compare(&listed[i].boot, &listed[at].boot);
        if (order > 0 || (order == 0 && i < at))
            return true;
    }
    return false;
}

size_t roster_clean(struct roster_list *list, const struct store_member *listed, size_t count)
{
    list->count = 0;
    for (size_t i = 0; i < count && list->count < WORKERS_MAX; i++) {
        bool is_in_order =
            list->count == 0 || listed[i].worker_id > list->members[list->count - 1].worker_id;
        if (is_in_order && is_usable(&listed[i]) && !is_outdone(listed, count, i))
            list->members[list->count++] = listed[i];
    }
    return count - list->count;
}

static void publish(struct roster *roster, const struct store_answer *answer)
{
    (void)pthread_mutex_lock(&roster->lock);
    size_t unusable = roster_clean(&roster->list, answer->members, answer->member_count);
    (void)atomic_fetch_add(&roster->version, 1);
    (void)pthread_mutex_unlock(&roster->lock);
    metrics_add(roster->metrics, 0, LB_LISTED_UNUSABLE, unusable);
    metrics_add(roster->metrics, 0, LB_LISTS_OK, 1);
}

bool roster_take(struct roster *roster, uint64_t *version, struct roster_list *list)
{
    /* Most of the time nothing is new, and that costs no lock. */
    if (atomic_load(&roster->version) == *version)
        return false;
    (void)pthread_mutex_lock(&roster->lock);
    *version = atomic_load(&roster->version);
    list->count = roster->list.count;
    for (size_t i = 0; i < list->count; i++)
        list->members[i] = roster->list.members[i];
    (void)pthread_mutex_unlock(&roster->lock);
    return true;
}

/* --- questions --- */

static void take_answer(void *owner, const struct store_answer *answer)
{
    struct roster *roster = owner;
    bool was_away = roster->is_away;

    roster->asked = false;
    roster->is_away = answer->outcome != STORE_OK;
    if (!roster->is_away) {
        publish(roster, answer);
        if (was_away)
            log_line(LOG_INFO, MODULE, "the store lists workers again", "workers=%zu",
                     answer->member_count);
        return;
    }
    metrics_add(roster->metrics, 0, LB_LISTS_FAILED, 1);
    const char *trouble = store_trouble(roster->store);
    if (!was_away)
        log_line(LOG_WARN, MODULE, "the store does not list workers, the last list stays",
                 "store=%s reason=\"%s\"", roster->store->engine->name,
                 trouble ? trouble : "no answer");
}

void roster_run(struct roster *roster, uint64_t now_ms)
{
    const struct store_waiter waiter = {.answer = take_answer, .owner = roster};

    if (now_ms < roster_next_ms(roster))
        return;
    roster->asked = store_list_members(roster->store, &waiter) == STATUS_OK;
    roster->asked_ms = now_ms;
    roster->due_ms = now_ms + ROSTER_INTERVAL_MS;
}

uint64_t roster_next_ms(const struct roster *roster)
{
    return roster->asked ? UINT64_MAX : roster->due_ms;
}

void roster_hurry(struct roster *roster)
{
    uint64_t soon_ms = roster->asked_ms + ROSTER_INTERVAL_MIN_MS;
    if (soon_ms < roster->due_ms)
        roster->due_ms = soon_ms;
}
