#include "worker/mark.h"

#include <stdlib.h>

#include "worker/session_record.h"

_Static_assert((MARKS_TOGETHER & (MARKS_TOGETHER - 1)) == 0, "a ring has whole groups");

void marks_init(struct marks *marks, const struct path_lbs *lbs, uint64_t later_ms)
{
    *marks = (struct marks){.lbs = lbs};
    marks->lanes[MARK_SOON].delay_ms = MARK_INTERVAL_MS;
    marks->lanes[MARK_LATER].delay_ms = later_ms;
}

static void free_ring(struct mark_queue *queue)
{
    free(queue->entries);
    free(queue->noted_ms);
    *queue = (struct mark_queue){.delay_ms = queue->delay_ms};
}

void marks_free(struct marks *marks)
{
    for (size_t lane = 0; lane < MARK_LANES; lane++)
        free_ring(&marks->lanes[lane]);
}

/* --- lanes --- */

static struct session *entry_at(const struct mark_queue *queue, uint32_t position)
{
    return queue->entries[(queue->first + position) & (queue->size - 1)];
}

static uint64_t *noted_ms_at(const struct mark_queue *queue, uint32_t position)
{
    return &queue->noted_ms[((queue->first + position) & (queue->size - 1)) / MARKS_TOGETHER];
}

/* The last may not come into the group of the first, from behind. */
static bool is_full(const struct mark_queue *queue)
{
    return queue->length + queue->first % MARKS_TOGETHER >= queue->size;
}

static void append(struct mark_queue *queue, struct session *session, uint64_t now_ms)
{
    session->mark_at = (queue->first + queue->length) & (queue->size - 1);
    if (queue->length == 0 || session->mark_at % MARKS_TOGETHER == 0)
        *noted_ms_at(queue, queue->length) = now_ms;
    queue->entries[session->mark_at] = session;
    queue->length++;
}

/* Into a ring of twice the size if more than half of this one is in use, else of the same. */
static bool renew(struct mark_queue *queue, size_t in_use)
{
    struct mark_queue ring = {.size = queue->size > 0 ? queue->size : MARKS_TOGETHER,
                              .delay_ms = queue->delay_ms};
    if (in_use > ring.size / 2)
        ring.size *= 2;
    ring.entries = calloc(ring.size, sizeof(*ring.entries));
    ring.noted_ms = calloc(ring.size / MARKS_TOGETHER, sizeof(*ring.noted_ms));
    if (!ring.entries || !ring.noted_ms) {
        free_ring(&ring);
        return false;
    }
    for (uint32_t i = 0; i < queue->length; i++) {
        if (entry_at(queue, i))
            append(&ring, entry_at(queue, i), *noted_ms_at(queue, i));
    }
    free_ring(queue);
    *queue = ring;
    return true;
}

static bool push(struct mark_queue *queue, size_t in_use, struct session *session, uint64_t now_ms)
{
    if (is_full(queue) && !renew(queue, in_use))
        return false;
    append(queue, session, now_ms);
    return true;
}

static void drop(struct mark_queue *queue, uint32_t at)
{
    queue->entries[at] = NULL;
    while (queue->length > 0 && !entry_at(queue, 0)) {
        queue->first = (queue->first + 1) & (queue->size - 1);
        queue->length--;
    }
}

static uint64_t due_ms(const struct mark_queue *queue)
{
    return queue->length > 0 ? *noted_ms_at(queue, 0) + queue->delay_ms : UINT64_MAX;
}

/* --- notes --- */

void mark_note(struct marks *marks, struct session *session, enum mark_lane lane, uint64_t now_ms)
{
    if (session->dirty && (session->hasty || lane == MARK_LATER))
        return;
    mark_forget(marks, session);
    if (!push(&marks->lanes[lane], marks->count, session, now_ms))
        return;
    session->dirty = true;
    session->hasty = lane == MARK_SOON;
    marks->count++;
}

void mark_forget(struct marks *marks, struct session *session)
{
    if (!session->dirty)
        return;
    drop(&marks->lanes[session->hasty ? MARK_SOON : MARK_LATER], session->mark_at);
    session->dirty = false;
    session->hasty = false;
    marks->count--;
}

/* --- saving --- */

void mark_write(const struct marks *marks, const struct session *session, struct writer *mark)
{
    session_record_write_mark(session, path_lb_name(marks->lbs, session->path.lb), mark);
}

bool mark_save(struct marks *marks, struct store *store, struct session *session,
               store_answer_fn *answer, void *owner)
{
    uint8_t octets[STORE_MARK_MAX];
    struct writer writer = writer_over(octets, sizeof(octets));
    mark_write(marks, session, &writer);
    const struct store_waiter waiter = {answer, owner, session->own_cid, session->fence};
    if (!writer_ok(&writer) ||
        store_save_mark(store, session->fence, (struct octets){octets, writer_length(&writer)},
                        &waiter) != STATUS_OK)
        return false;
    mark_forget(marks, session);
    session->saving = true;
    marks->saving++;
    return true;
}

uint64_t marks_due_ms(const struct marks *marks)
{
    uint64_t soon_ms = due_ms(&marks->lanes[MARK_SOON]);
    uint64_t later_ms = due_ms(&marks->lanes[MARK_LATER]);
    uint64_t next_ms = soon_ms < later_ms ? soon_ms : later_ms;
    return next_ms < marks->retry_ms ? marks->retry_ms : next_ms;
}

void marks_save(struct marks *marks, struct store *store, uint64_t now_ms, bool all,
                store_answer_fn *answer, void *owner)
{
    if (!all && now_ms < marks_due_ms(marks))
        return;
    marks->retry_ms = 0;
    for (size_t lane = 0; lane < MARK_LANES; lane++) {
        struct mark_queue *queue = &marks->lanes[lane];
        while (queue->length > 0 && (all || due_ms(queue) <= now_ms)) {
            size_t together = lane == MARK_SOON ? SIZE_MAX : MARKS_TOGETHER;
            for (; together > 0 && queue->length > 0; together--) {
                if (!mark_save(marks, store, entry_at(queue, 0), answer, owner)) {
                    marks->retry_ms = now_ms + MARK_INTERVAL_MS;
                    return;
                }
            }
        }
    }
    /* A fleet that was awake needs no room for it in its sleep. */
    struct mark_queue *later = &marks->lanes[MARK_LATER];
    if (later->length == 0 && later->size > MARKS_TOGETHER)
        free_ring(later);
}

void mark_answered(struct marks *marks, struct session *session)
{
    marks->saving--;
    if (session)
        session->saving = false;
}
