#include "worker/mark.h"

#include <stdlib.h>

#include "worker/session_record.h"

#define DIRTY_FIRST 64

void marks_init(struct marks *marks, const struct path_lbs *lbs)
{
    *marks = (struct marks){.lbs = lbs, .due_ms = UINT64_MAX};
}

void marks_free(struct marks *marks)
{
    free(marks->dirty);
}

static bool grow(struct marks *marks)
{
    size_t size = marks->size > 0 ? 2 * marks->size : DIRTY_FIRST;
    struct session **dirty = realloc(marks->dirty, size * sizeof(*dirty));
    if (!dirty)
        return false;
    marks->dirty = dirty;
    marks->size = size;
    return true;
}

void mark_note(struct marks *marks, struct session *session, uint64_t now_ms)
{
    if (session->dirty || (marks->count == marks->size && !grow(marks)))
        return;
    session->dirty = true;
    marks->dirty[marks->count++] = session;
    if (marks->due_ms == UINT64_MAX)
        marks->due_ms = now_ms + MARK_INTERVAL_MS;
}

void mark_forget(struct marks *marks, struct session *session)
{
    if (!session->dirty)
        return;
    for (size_t i = 0; i < marks->count; i++) {
        if (marks->dirty[i] == session) {
            marks->dirty[i] = marks->dirty[--marks->count];
            break;
        }
    }
    session->dirty = false;
}

static bool save(const struct marks *marks, struct store *store, const struct session *session,
                 store_answer_fn *answer, void *owner)
{
    uint8_t octets[STORE_MARK_MAX];
    struct writer writer = writer_over(octets, sizeof(octets));
    session_record_write_mark(session, path_lb_name(marks->lbs, session->path.lb), &writer);
    const struct store_waiter waiter = {answer, owner, session->own_cid, 0};
    return writer_ok(&writer) &&
           store_save_mark(store, session->fence, (struct octets){octets, writer_length(&writer)},
                           &waiter) == STATUS_OK;
}

void marks_save(struct marks *marks, struct store *store, uint64_t now_ms, bool all,
                store_answer_fn *answer, void *owner)
{
    if (!all && now_ms < marks->due_ms)
        return;
    while (marks->count > 0 && save(marks, store, marks->dirty[marks->count - 1], answer, owner)) {
        struct session *session = marks->dirty[--marks->count];
        session->dirty = false;
        session->saving = true;
        marks->saving++;
    }
    marks->due_ms = marks->count > 0 ? now_ms + MARK_INTERVAL_MS : UINT64_MAX;
}

void mark_answered(struct marks *marks, struct session *session)
{
    marks->saving--;
    if (session)
        session->saving = false;
}
