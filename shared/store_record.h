/* A session as an engine that keeps it itself holds it, the rules of fence and lease, and its
 * stored form:
 *
 *   format 1 ‖ fence 8 ‖ owner 2 ‖ next sequence 8 ‖ expiry 8 ‖ has address 1 [‖ address 18]
 *   ‖ mark length 1 ‖ mark ‖ sealed length 2 ‖ sealed
 */
#ifndef HOLDFAST_SHARED_STORE_RECORD_H
#define HOLDFAST_SHARED_STORE_RECORD_H

#include "shared/store.h"

#define STORE_FORMAT 1 /* the first octet of every stored value; another one is refused */
#define STORE_RECORD_SIZE_MAX \
    (1 + 8 + 2 + 8 + 8 + 1 + ADDRESS_WIRE_SIZE + 1 + STORE_MARK_MAX + 2 + STORE_SEALED_MAX)

struct store_record {
    uint64_t fence;
    uint64_t next_sequence; /* the first number that is leased to nobody */
    uint64_t expires_ms;    /* on the engine's clock */
    uint16_t owner;         /* worker id; 0: who created it */
    bool has_address;
    struct address address;
    uint16_t sealed_length;
    uint8_t mark_length;
    uint8_t mark[STORE_MARK_MAX];
    uint8_t sealed[STORE_SEALED_MAX];
};

/* sealed and mark within their bounds; the first block is still to be taken. */
void store_record_init(struct store_record *record, struct octets sealed, struct octets mark,
                       const struct address *address);
/* STORE_STALE, or STORE_OK. */
enum store_outcome store_record_check(const struct store_record *record, uint64_t fence);
/* The next block; STORE_UNAVAILABLE when the numbers are used up, and then nothing has changed. */
enum store_outcome store_record_lease(struct store_record *record, uint64_t *first,
                                      uint64_t *count);
/* A new owner, a higher fence and a fresh block; as store_record_lease. */
enum store_outcome store_record_claim(struct store_record *record, uint16_t worker_id,
                                      uint64_t *first, uint64_t *count);
/* Both have a name, and it is the same. */
bool store_exchange_is_same(struct octets value, struct octets other);
void store_record_set_mark(struct store_record *record, struct octets mark);

void store_record_write(struct writer *writer, const struct store_record *record);
/* STATUS_UNSUPPORTED for another format, STATUS_MALFORMED. */
MUST_USE enum status store_record_read(struct store_record *record, struct octets value);

#endif
