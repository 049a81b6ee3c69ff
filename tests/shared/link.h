/* Both ends of an internal link, for the tests of frames. */
#ifndef HOLDFAST_TESTS_SHARED_LINK_H
#define HOLDFAST_TESTS_SHARED_LINK_H

#include "shared/frame.h"

struct link {
    struct cluster_key key;
    struct boot_id lb;
    struct boot_id worker;
    struct frame_sealer sealer;  /* the lb's */
    struct frame_opener *opener; /* the worker's */
    uint8_t packet[FRAME_SIZE_MAX];
    size_t length; /* of what was sealed last */
    struct frame frame;
};

/* Fails the running test where anything is refused. Heap, freed by link_free. */
struct link *link_new(void);
void link_free(struct link *link);

/* The boot of a given age: higher is later. */
struct boot_id link_boot(uint64_t unix_ms);

/* One frame with one entry, from the link's lb to `to`, into `packet`. */
void link_seal_data(struct link *link, const struct boot_id *to);
void link_seal_health(struct link *link, enum frame_type type, const struct boot_id *to);
/* What another boot of the same cluster seals as its frame number `counter`. */
void link_seal_as(struct link *link, const struct boot_id *from, uint64_t counter,
                  enum frame_type type, const struct boot_id *to);

enum frame_outcome link_open(struct link *link);

#endif
