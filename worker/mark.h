/* Marks: what of a session changes with its records (replay window, addresses), saved at least
 * every MARK_INTERVAL_MS while it moves (DESIGN.md section 7, invariant 5). */
#ifndef HOLDFAST_WORKER_MARK_H
#define HOLDFAST_WORKER_MARK_H

#include <stddef.h>
#include <stdint.h>

#include "shared/store.h"
#include "worker/session.h"

struct marks {
    const struct path_lbs *lbs; /* outlives this */
    struct session **dirty;     /* in no order */
    size_t count;
    size_t size;
    size_t saving;   /* asked of the store and not answered */
    uint64_t due_ms; /* of the oldest change; UINT64_MAX: none */
};

void marks_init(struct marks *marks, const struct path_lbs *lbs);
void marks_free(struct marks *marks);
/* The session has changed. Without memory for the note it stays unsaved until its next change. */
void mark_note(struct marks *marks, struct session *session, uint64_t now_ms);
/* The session goes. */
void mark_forget(struct marks *marks, struct session *session);
/* Asks the store to save all that is noted, from due_ms on or, with `all`, at once. The answers go
 * to `answer`, which calls mark_answered. What the store has no room for stays noted. */
void marks_save(struct marks *marks, struct store *store, uint64_t now_ms, bool all,
                store_answer_fn *answer, void *owner);
/* The store has answered about a mark of this session; NULL: the session is gone. */
void mark_answered(struct marks *marks, struct session *session);

#endif
