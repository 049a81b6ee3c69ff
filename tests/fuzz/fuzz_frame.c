/* Input: a letter, then
 *   r  a packet as it came from the link;
 *   e  count 2, then octets that are sealed as the entries of a frame and opened again;
 *   h  type 1, then octets that are sealed as health, so that any value arrives authentic;
 *   c  offset 2, then octets that change a good frame from there on. */
#include "shared/frame.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static const struct cluster_key key = {{1, 2, 3, 4}};
static const struct boot_id sender = {{0, 0, 0, 0, 1}};
static const struct boot_id receiver = {{0, 0, 0, 0, 2}};

/* The ends of the link, made anew for each input. */
struct ends {
    struct frame_sealer sealer;
    struct frame_opener *opener;
    uint8_t packet[FRAME_SIZE_MAX];
    struct frame frame;
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* All entries; when they parse, building them again gives the octets that they were read from. */
static void walk(struct frame *frame, const uint8_t *body, size_t body_length)
{
    static uint8_t again[FRAME_SIZE_MAX];
    struct frame_builder builder;
    struct frame_entry entry;
    enum status status;
    size_t taken = 0;
    frame_begin(&builder, again, sizeof again);
    while ((status = frame_next(frame, &entry)) == STATUS_OK) {
        taken++;
        require(entry.datagram >= body && entry.datagram + entry.length <= body + body_length);
        require(entry.length <= DATAGRAM_SIZE_MAX);
        require(frame_add(&builder, &entry) == STATUS_OK);
    }
    require(taken <= frame->count);
    require(status == STATUS_MALFORMED || status == STATUS_NOT_FOUND);
    require(frame_next(frame, &entry) == status);
    if (status == STATUS_NOT_FOUND && frame->type == FRAME_DATA) {
        require(taken == frame->count);
        require(writer_length(&builder.writer) == FRAME_HEADER_SIZE + body_length);
        require(memcmp(again + FRAME_HEADER_SIZE, body, body_length) == 0);
    }
}

static enum frame_outcome open_packet(struct ends *ends, size_t length)
{
    enum frame_outcome outcome = frame_open(ends->opener, ends->packet, length, &ends->frame);
    require(outcome < FRAME_OUTCOMES);
    if (outcome == FRAME_ACCEPTED)
        walk(&ends->frame, ends->packet + FRAME_HEADER_SIZE,
             length - FRAME_HEADER_SIZE - FRAME_TAG_SIZE);
    return outcome;
}

static void run_raw(struct ends *ends, struct cursor input)
{
    size_t length = cursor_left(&input);
    if (length > sizeof ends->packet)
        return;
    if (length > 0)
        memcpy(ends->packet, input.at, length);
    (void)open_packet(ends, length);
}

/* The length of a frame with these octets as its entries; 0 where it cannot be one. */
static size_t seal_entries(struct ends *ends, uint16_t count, struct cursor input)
{
    struct frame_builder builder;
    size_t length = 0;
    frame_begin(&builder, ends->packet, sizeof ends->packet);
    writer_bytes(&builder.writer, input.at, cursor_left(&input));
    builder.count = count;
    if (!writer_ok(&builder.writer) || count == 0)
        return 0;
    require(frame_seal(&ends->sealer, &receiver, &builder, &length) == STATUS_OK);
    return length;
}

static void run_entries(struct ends *ends, struct cursor input)
{
    uint16_t count = cursor_u16(&input);
    size_t length = cursor_ok(&input) ? seal_entries(ends, count, input) : 0;
    if (length == 0)
        return;
    enum frame_outcome outcome = open_packet(ends, length);
    require(outcome == FRAME_ACCEPTED || outcome == FRAME_MALFORMED);
}

static void run_health(struct ends *ends, struct cursor input)
{
    uint8_t type = cursor_u8(&input);
    struct frame_health health = {.stamp = cursor_u64(&input)};
    health.worker_id = cursor_u16(&input);
    health.state = cursor_u8(&input);
    health.sessions = cursor_u32(&input);
    size_t length = 0;
    if (!cursor_ok(&input) ||
        frame_seal_health(&ends->sealer, (enum frame_type)type, &receiver, &health, ends->packet,
                          sizeof ends->packet, &length) != STATUS_OK)
        return;
    bool known = health.state == FRAME_STATE_SERVING || health.state == FRAME_STATE_DRAINING;
    require(open_packet(ends, length) == (known ? FRAME_ACCEPTED : FRAME_MALFORMED));
    if (known) {
        require(ends->frame.health.stamp == health.stamp);
        require(ends->frame.health.worker_id == health.worker_id);
        require(ends->frame.health.sessions == health.sessions);
    }
}

static void run_changed(struct ends *ends, struct cursor input)
{
    static const uint8_t body[FRAME_ENTRY_HEADER_SIZE + 20] = {[FRAME_ENTRY_HEADER_SIZE - 1] = 20};
    uint16_t offset = cursor_u16(&input);
    size_t length = seal_entries(ends, 1, cursor_over(body, sizeof body));
    bool changed = false;
    for (size_t at = offset; at < length && cursor_left(&input) > 0; at++) {
        uint8_t change = cursor_u8(&input);
        ends->packet[at] ^= change;
        changed = changed || change != 0;
    }
    require((open_packet(ends, length) == FRAME_ACCEPTED) == !changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ends ends;
    struct cursor input = cursor_over(data, size);
    require(frame_sealer_init(&ends.sealer, &key, &sender) == STATUS_OK);
    ends.opener = frame_opener_new(&key, &receiver);
    require(ends.opener != NULL);
    switch (cursor_u8(&input)) {
    case 'r':
        run_raw(&ends, input);
        break;
    case 'e':
        run_entries(&ends, input);
        break;
    case 'h':
        run_health(&ends, input);
        break;
    case 'c':
        run_changed(&ends, input);
        break;
    default:
        break;
    }
    frame_opener_free(ends.opener);
    frame_sealer_free(&ends.sealer);
    return 0;
}
