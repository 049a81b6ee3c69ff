#include "tests/sim/step.h"

#include "tests/sim/question.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_before(const struct step *a, const struct step *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->serial < b->serial;
}

static void rise(struct steps *steps, size_t at)
{
    struct step *step = steps->heap[at];
    for (; at > 0 && is_before(step, steps->heap[(at - 1) / 2]); at = (at - 1) / 2)
        steps->heap[at] = steps->heap[(at - 1) / 2];
    steps->heap[at] = step;
}

static void sink(struct steps *steps)
{
    struct step *step = steps->heap[0];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < steps->count; at = child) {
        if (child + 1 < steps->count && is_before(steps->heap[child + 1], steps->heap[child]))
            child++;
        if (!is_before(steps->heap[child], step))
            break;
        steps->heap[at] = steps->heap[child];
    }
    steps->heap[at] = step;
}

struct step *steps_add(struct steps *steps, uint64_t due_ms, enum step_kind kind, size_t to,
                       const void *bytes, size_t length)
{
    struct step *step = calloc(1, sizeof(*step));
    assert(step);
    step->due_ms = due_ms;
    step->serial = steps->serial++;
    step->kind = kind;
    step->to = to;
    if (length > 0) {
        step->bytes = malloc(length);
        assert(step->bytes);
        memcpy(step->bytes, bytes, length);
        step->length = length;
    }
    if (steps->count == steps->size) {
        steps->size = steps->size ? 2 * steps->size : 256;
        steps->heap = realloc(steps->heap, steps->size * sizeof(struct step *));
        assert(steps->heap);
    }
    steps->heap[steps->count++] = step;
    rise(steps, steps->count - 1);
    return step;
}

struct step *steps_take(struct steps *steps)
{
    if (steps->count == 0)
        return NULL;
    struct step *step = steps->heap[0];
    steps->heap[0] = steps->heap[--steps->count];
    if (steps->count > 0)
        sink(steps);
    return step;
}

void step_free(struct step *step)
{
    question_free(step->question);
    free(step->bytes);
    free(step);
}

void steps_free(struct steps *steps)
{
    for (size_t i = 0; i < steps->count; i++)
        step_free(steps->heap[i]);
    free(steps->heap);
    *steps = (struct steps){0};
}
