#include "lb/trunk.h"

#include "lb/metrics.h"
#include "shared/log.h"

#include <errno.h>
#include <stdlib.h>

#define MODULE "trunk"
#define WARNINGS_PER_SECOND 5

/* A frame of one entry with the longest datagram there is. */
#define FRAME_SINGLE_MAX \
    (FRAME_HEADER_SIZE + FRAME_ENTRY_HEADER_SIZE + DATAGRAM_SIZE_MAX + FRAME_TAG_SIZE)
#define FRAME_HEALTH_MAX 128

_Static_assert(FRAME_SINGLE_MAX <= FRAME_SIZE_MAX, "each datagram fits a frame");

/* The frame that is being filled for one member; empty while builder.count is 0. */
struct outbox {
    struct frame_builder builder;
    uint8_t *space; /* frame_size octets */
    bool listed;    /* in `filling` */
};

struct trunk {
    struct io *io;
    struct io_socket *socket;
    struct membership membership;
    struct frame_sealer sealer;
    struct frame_opener *opener;
    struct outbox outboxes[WORKERS_MAX]; /* by index into the membership */
    uint16_t filling[WORKERS_MAX];       /* indices of the outboxes that may hold anything */
    size_t filling_count;
    uint8_t *space; /* of all outboxes */
    size_t frame_size;
    trunk_deliver_fn *deliver;
    void *owner;
    struct metrics *metrics;
    size_t thread;
    struct log_limit warnings;
    uint8_t single[FRAME_SINGLE_MAX];
};

static void count(struct trunk *trunk, enum lb_metric row, uint64_t n)
{
    metrics_add(trunk->metrics, trunk->thread, row, n);
}

static enum lb_metric dropped_frame(enum frame_outcome outcome)
{
    switch (outcome) {
    case FRAME_MALFORMED:
        return LB_FRAMES_MALFORMED;
    case FRAME_UNKNOWN_VERSION:
        return LB_FRAMES_VERSION;
    case FRAME_BAD_TAG:
        return LB_FRAMES_BAD_TAG;
    case FRAME_REPLAYED:
        return LB_FRAMES_REPLAYED;
    case FRAME_OLD_BOOT:
        return LB_FRAMES_OLD_BOOT;
    case FRAME_NOT_FOR_US:
        return LB_FRAMES_NOT_FOR_US;
    case FRAME_ACCEPTED:
    case FRAME_OUTCOMES:
        break;
    }
    return LB_FRAMES_UNEXPECTED;
}

static const char *state_text(enum member_state state)
{
    switch (state) {
    case MEMBER_DEAD:
        return "dead";
    case MEMBER_SERVING:
        return "serving";
    case MEMBER_DRAINING:
        return "draining";
    }
    return "?";
}

/* Each thread finds out by itself; one line for all of them is enough. */
static void log_member(const struct trunk *trunk, const char *message, const struct member *member)
{
    char text[ADDRESS_TEXT_MAX];

    if (trunk->thread == 0)
        log_line(member->state == MEMBER_DEAD ? LOG_WARN : LOG_INFO, MODULE, message,
                 "worker=%u address=%s state=%s", member->id,
                 address_format(&member->address, text), state_text(member->state));
}

static void warn_wrong_id(struct trunk *trunk, const struct member *member, uint16_t claimed)
{
    char text[ADDRESS_TEXT_MAX];
    uint64_t suppressed = 0;

    if (trunk->thread == 0 &&
        log_allow(&trunk->warnings, io_now_ms(trunk->io), WARNINGS_PER_SECOND, &suppressed))
        log_line(LOG_WARN, MODULE, "another worker answers at this address",
                 "address=%s expected=%u answered=%u suppressed=%llu",
                 address_format(&member->address, text), member->id, claimed,
                 (unsigned long long)suppressed);
}

static void take_pong(struct trunk *trunk, const struct address *from, const struct frame *frame)
{
    struct member *member;

    switch (membership_pong(&trunk->membership, from, &frame->from, &frame->health,
                            io_now_ms(trunk->io), &member)) {
    case PONG_KEPT:
        break;
    case PONG_STATE_CHANGED:
        log_member(trunk, "worker changed state", member);
        break;
    case PONG_RESTARTED:
        log_member(trunk, "worker has started anew", member);
        break;
    case PONG_UNKNOWN_SOURCE:
        count(trunk, LB_PONGS_UNKNOWN_SOURCE, 1);
        break;
    case PONG_WRONG_ID:
        count(trunk, LB_PONGS_WRONG_ID, 1);
        warn_wrong_id(trunk, member, frame->health.worker_id);
        break;
    case PONG_STALE:
        count(trunk, LB_PONGS_STALE, 1);
        break;
    case PONG_OLD_BOOT:
        count(trunk, LB_PONGS_OLD_BOOT, 1);
        break;
    case PONG_BAD_STATE:
        count(trunk, LB_PONGS_BAD_STATE, 1);
        break;
    }
}

static void take_data(struct trunk *trunk, struct frame *frame)
{
    struct frame_entry entry;
    enum status status;

    while ((status = frame_next(frame, &entry)) == STATUS_OK)
        trunk->deliver(trunk->owner, &entry);
    if (status != STATUS_NOT_FOUND)
        count(trunk, LB_FRAMES_MALFORMED, 1);
}

static void take_packet(struct trunk *trunk, struct io_datagram *packet)
{
    struct frame frame;

    count(trunk, LB_FRAMES_IN, 1);
    enum frame_outcome outcome =
        packet->truncated ? FRAME_MALFORMED
                          : frame_open(trunk->opener, packet->data, packet->length, &frame);
    if (outcome != FRAME_ACCEPTED) {
        count(trunk, dropped_frame(outcome), 1);
        return;
    }
    switch (frame.type) {
    case FRAME_DATA:
        take_data(trunk, &frame);
        break;
    case FRAME_PONG:
        take_pong(trunk, &packet->from, &frame);
        break;
    case FRAME_PING: /* an lb is asked by nobody */
        count(trunk, LB_FRAMES_UNEXPECTED, 1);
        break;
    }
}

static void on_receive(void *owner, struct io_socket *socket, struct io_datagram *packets,
                       size_t packet_count)
{
    (void)socket;
    for (size_t i = 0; i < packet_count; i++)
        take_packet(owner, &packets[i]);
}

static void on_error(void *owner, struct io_socket *socket, const struct address *peer, int error)
{
    struct trunk *trunk = owner;

    (void)socket;
    if (error != ECONNREFUSED)
        return;
    struct member *died = membership_refused(&trunk->membership, peer);
    if (died)
        log_member(trunk, "worker's host refuses", died);
}

static enum status add_workers(struct trunk *trunk, const struct trunk_options *options)
{
    if (options->worker_count > WORKERS_MAX)
        return STATUS_FULL;
    size_t room = options->is_listed ? WORKERS_MAX : options->worker_count;
    trunk->space = calloc(room + 1, options->frame_size);
    if (!trunk->space)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < room; i++)
        trunk->outboxes[i].space = trunk->space + i * options->frame_size;
    for (size_t i = 0; i < options->worker_count; i++) {
        const struct trunk_worker *worker = &options->workers[i];
        enum status status = membership_add(&trunk->membership, worker->id, &worker->address);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status set_up_keys(struct trunk *trunk, const struct cluster_key *key)
{
    uint8_t seed[16];
    struct boot_id boot;
    enum status status = keys_derive(key, KEY_HASH_SEED, NULL, 0, seed, sizeof(seed));
    if (status != STATUS_OK)
        return status;
    struct hash_key hash_key = hash_key_from(seed);
    membership_init(&trunk->membership, &hash_key);

    status = boot_id_new(&boot, io_unix_ms());
    if (status != STATUS_OK)
        return status;
    status = frame_sealer_init(&trunk->sealer, key, &boot);
    if (status != STATUS_OK)
        return status;
    trunk->opener = frame_opener_new(key, &boot);
    return trunk->opener ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status trunk_new(struct trunk **new_trunk, const struct trunk_options *options)
{
    struct trunk *trunk = calloc(1, sizeof(*trunk));
    if (!trunk)
        return STATUS_NO_MEMORY;
    trunk->io = options->io;
    trunk->frame_size = options->frame_size;
    trunk->deliver = options->deliver;
    trunk->owner = options->owner;
    trunk->metrics = options->metrics;
    trunk->thread = options->thread;

    enum status status = set_up_keys(trunk, options->key);
    if (status == STATUS_OK)
        status = add_workers(trunk, options);
    if (status != STATUS_OK)
        goto failed;
    struct io_udp_options udp = {
        .bind = options->bind,
        .datagram_size_max = FRAME_SIZE_MAX + 512,
        .receive = on_receive,
        .error = on_error,
        .owner = trunk,
    };
    status = io_udp_open(trunk->io, &udp, &trunk->socket);
    if (status != STATUS_OK)
        goto failed;
    *new_trunk = trunk;
    return STATUS_OK;

failed:
    trunk_free(trunk);
    return status;
}

void trunk_free(struct trunk *trunk)
{
    if (!trunk)
        return;
    frame_opener_free(trunk->opener);
    frame_sealer_free(&trunk->sealer);
    free(trunk->space);
    free(trunk);
}

struct address trunk_local_address(const struct trunk *trunk)
{
    return io_local_address(trunk->socket);
}

struct membership *trunk_membership(struct trunk *trunk)
{
    return &trunk->membership;
}

/* Seals what the builder holds and sends it. */
static enum status seal_and_send(struct trunk *trunk, const struct member *member,
                                 struct frame_builder *builder)
{
    size_t length;
    uint16_t entries = builder->count;
    const uint8_t *frame = builder->writer.start;

    enum status status = frame_seal(&trunk->sealer, &member->boot, builder, &length);
    builder->count = 0;
    if (status != STATUS_OK) {
        count(trunk, LB_DROPPED_UNSEALED, entries);
        return status;
    }
    io_send(trunk->socket, &member->address, frame, length);
    count(trunk, LB_FRAMES_OUT, 1);
    return STATUS_OK;
}

static enum status put_single(struct trunk *trunk, const struct member *member,
                              const struct frame_entry *entry)
{
    struct frame_builder builder;

    frame_begin(&builder, trunk->single, sizeof(trunk->single));
    enum status status = frame_add(&builder, entry);
    if (status != STATUS_OK)
        return status;
    return seal_and_send(trunk, member, &builder);
}

enum status trunk_put(struct trunk *trunk, const struct member *member,
                      const struct frame_entry *entry)
{
    size_t index = (size_t)(member - trunk->membership.members);
    struct outbox *outbox = &trunk->outboxes[index];

    bool was_empty = outbox->builder.count == 0;
    if (was_empty)
        frame_begin(&outbox->builder, outbox->space, trunk->frame_size);
    enum status status = frame_add(&outbox->builder, entry);
    if ((status == STATUS_FULL || status == STATUS_TOO_LONG) && !was_empty) {
        /* What came before leaves before. */
        enum status sent = seal_and_send(trunk, member, &outbox->builder);
        if (sent != STATUS_OK)
            return sent;
        frame_begin(&outbox->builder, outbox->space, trunk->frame_size);
        if (status == STATUS_FULL)
            status = frame_add(&outbox->builder, entry);
    }
    if (status == STATUS_TOO_LONG)
        return put_single(trunk, member, entry);
    if (!outbox->listed) {
        outbox->listed = true;
        trunk->filling[trunk->filling_count++] = (uint16_t)index;
    }
    return status;
}

void trunk_flush(struct trunk *trunk)
{
    for (size_t i = 0; i < trunk->filling_count; i++) {
        struct outbox *outbox = &trunk->outboxes[trunk->filling[i]];
        outbox->listed = false;
        if (outbox->builder.count > 0)
            (void)seal_and_send(trunk, &trunk->membership.members[trunk->filling[i]],
                                &outbox->builder); /* counts its failures */
    }
    trunk->filling_count = 0;
}

static void on_change(void *owner, enum member_change change, const struct member *member)
{
    struct trunk *trunk = owner;
    uint64_t suppressed = 0;

    switch (change) {
    case MEMBER_ADDED:
        log_member(trunk, "worker is listed", member);
        break;
    case MEMBER_REMOVED:
        log_member(trunk, "worker is not listed there any more", member);
        break;
    case MEMBER_HELD_BACK:
        log_member(trunk, "worker is listed as not serving", member);
        break;
    case MEMBER_RELEASED:
        log_member(trunk, "worker is listed as serving", member);
        break;
    case MEMBER_REFUSED: /* with each list again */
        if (log_allow(&trunk->warnings, io_now_ms(trunk->io), WARNINGS_PER_SECOND, &suppressed))
            log_member(trunk, "no room for another worker", member);
        break;
    }
}

void trunk_list(struct trunk *trunk, const struct roster_list *list)
{
    /* Outboxes go by index, and members are about to move. */
    trunk_flush(trunk);
    membership_update(&trunk->membership, list->members, list->count, on_change, trunk);
}

uint64_t trunk_next_ms(const struct trunk *trunk)
{
    return membership_ping_ms(&trunk->membership);
}

static void ping(struct trunk *trunk, struct member *member, uint64_t now_ms)
{
    uint8_t space[FRAME_HEALTH_MAX];
    size_t length;
    struct boot_id to;
    struct frame_health health = {.stamp = now_ms, .state = FRAME_STATE_SERVING};

    switch (membership_ping(&trunk->membership, member, &to)) {
    case PING_SENT:
        break;
    case PING_SENT_DIED:
        log_member(trunk, "worker does not answer", member);
        break;
    }
    if (frame_seal_health(&trunk->sealer, FRAME_PING, &to, &health, space, sizeof(space),
                          &length) != STATUS_OK)
        return;
    io_send(trunk->socket, &member->address, space, length);
    count(trunk, LB_FRAMES_OUT, 1);
}

void trunk_run(struct trunk *trunk, uint64_t now_ms)
{
    if (now_ms < membership_ping_ms(&trunk->membership))
        return;
    membership_round(&trunk->membership, now_ms);
    for (size_t i = 0; i < trunk->membership.count; i++)
        ping(trunk, &trunk->membership.members[i], now_ms);
}
