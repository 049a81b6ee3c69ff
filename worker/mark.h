/* Marks: what of a session changes with its records (replay window, address), saved while it moves
 * (DESIGN.md section 7, invariant 5): soon where the record may have changed anything, later where
 * it cannot have. Those that are due together go together, so that the store writes them in one.
 *
 * Memory: 8 octets for each session that is noted, twice that at the worst while a lane grows. */
#ifndef HOLDFAST_WORKER_MARK_H
#define HOLDFAST_WORKER_MARK_H

#include <stddef.h>
#include <stdint.h>

#include "shared/store.h"
#include "worker/session.h"

enum mark_lane {
    MARK_SOON,  /* within MARK_INTERVAL_MS, with all others of its lane */
    MARK_LATER, /* within the delay that marks_init was told, with the next MARKS_TOGETHER */
    MARK_LANES
};

/* In the order in which they were noted; a ring, in groups of MARKS_TOGETHER. */
struct mark_queue {
    struct session **entries; /* NULL: it has gone or changed lanes */
    uint64_t *noted_ms;       /* of each group, when the first of it was noted */
    uint32_t size;            /* a power of two, whole groups */
    uint32_t first;
    uint32_t length; /* with those that are NULL; never one at the head */
    uint64_t delay_ms;
};

struct marks {
    const struct path_lbs *lbs; /* how marks name an lb; outlives this */
    struct mark_queue lanes[MARK_LANES];
    size_t count;      /* noted */
    size_t saving;     /* asked of the store and not answered */
    uint64_t retry_ms; /* the store had no room: not before this */
};

void marks_init(struct marks *marks, const struct path_lbs *lbs, uint64_t later_ms);
void marks_free(struct marks *marks);
/* The session has changed. Who is in MARK_SOON stays there. Without memory for the note it stays
 * unsaved until its next change. */
void mark_note(struct marks *marks, struct session *session, enum mark_lane lane, uint64_t now_ms);
/* It goes, or its mark is saved by other means. */
void mark_forget(struct marks *marks, struct session *session);
/* Its mark as it is now. */
void mark_write(const struct marks *marks, const struct session *session, struct writer *mark);
/* Asks the store to save this one, whenever it was due; the answer's tag is the fence that it was
 * asked with. False: no room. */
bool mark_save(struct marks *marks, struct store *store, struct session *session,
               store_answer_fn *answer, void *owner);
/* When the next is due; UINT64_MAX: none. */
uint64_t marks_due_ms(const struct marks *marks);
/* Asks the store to save what is due or, with `all`, all that is noted. The answers go to `answer`,
 * which calls mark_answered. What the store has no room for stays noted. */
void marks_save(struct marks *marks, struct store *store, uint64_t now_ms, bool all,
                store_answer_fn *answer, void *owner);
/* The store has answered about a mark of this session; NULL: the session is gone. */
void mark_answered(struct marks *marks, struct session *session);

#endif
