#include "worker/uplink.h"

#include "shared/hash.h"
#include "shared/log.h"
#include "worker/metrics.h"

#include <stdlib.h>
#include <string.h>

/* One lb thread, by its link address. Its boot may follow another at the same address. */
struct peer {
    uint32_t name; /* of the address: what marks call it */
    struct boot_id boot;
    struct address address;
    uint64_t heard_ms; /* 0: not heard yet, a mark has named it */
    struct frame_builder builder;
    uint8_t *frame; /* frame_size octets, allocated with the peer's first datagram */
};

struct uplink {
    struct uplink_options options;
    struct io_socket *socket;
    struct frame_sealer sealer;
    struct frame_opener *opener;
    struct frame_health health;
    struct hash_key hash_key; /* of names: the same in each worker */
    struct peer peers[UPLINK_PEERS_MAX];
    size_t peer_count;
    uint8_t *outsized; /* a frame for one datagram that the link's MTU cannot take */
    struct log_limit log_limit;
};

_Static_assert(UPLINK_PEERS_MAX <= PATH_LB_UNKNOWN, "struct path numbers an lb in one octet");

static const enum worker_metric drop_metrics[FRAME_OUTCOMES] = {
    [FRAME_MALFORMED] = WORKER_FRAMES_MALFORMED, [FRAME_UNKNOWN_VERSION] = WORKER_FRAMES_VERSION,
    [FRAME_BAD_TAG] = WORKER_FRAMES_BAD_TAG,     [FRAME_REPLAYED] = WORKER_FRAMES_REPLAYED,
    [FRAME_OLD_BOOT] = WORKER_FRAMES_OLD_BOOT,   [FRAME_NOT_FOR_US] = WORKER_FRAMES_NOT_FOR_US,
};

/* A name is 16 bits of a hash of the host's address, and the port. */
#define NAME_HOST(name) ((name) >> 16)

static uint32_t name_of(const struct uplink *uplink, const struct address *address)
{
    uint64_t hash = hash_bytes(&uplink->hash_key, address->ip, sizeof(address->ip));
    return (uint32_t)(hash & 0xffff) << 16 | address->port;
}

/* --- sending --- */

static void close_frame(struct uplink *uplink, struct peer *peer)
{
    if (!peer->frame || peer->builder.count == 0)
        return;
    size_t length;
    if (frame_seal(&uplink->sealer, &peer->boot, &peer->builder, &length) == STATUS_OK)
        io_send(uplink->socket, &peer->address, peer->frame, length);
    frame_begin(&peer->builder, peer->frame, uplink->options.frame_size);
}

/* The kernel cuts it into fragments; rare enough that this is better than a limit of our own. */
static void send_outsized(struct uplink *uplink, struct peer *peer, const struct frame_entry *entry)
{
    struct frame_builder builder;
    size_t length;
    frame_begin(&builder, uplink->outsized,
                FRAME_HEADER_SIZE + FRAME_ENTRY_HEADER_SIZE + DATAGRAM_SIZE_MAX + FRAME_TAG_SIZE);
    if (frame_add(&builder, entry) == STATUS_OK &&
        frame_seal(&uplink->sealer, &peer->boot, &builder, &length) == STATUS_OK)
        io_send(uplink->socket, &peer->address, uplink->outsized, length);
}

static bool is_alive(const struct uplink *uplink, const struct peer *peer)
{
    return peer->heard_ms > 0 &&
           io_now_ms(uplink->options.io) - peer->heard_ms < UPLINK_LB_SILENT_MS;
}

/* The lb that is meant while it lives. Else another thread of its host, which clients know under
 * the same address; else any: the client may be one that all of them reach. */
static struct peer *peer_for(struct uplink *uplink, uint8_t lb)
{
    struct peer *meant = lb < uplink->peer_count ? &uplink->peers[lb] : NULL;
    struct peer *other = NULL;
    if (meant && is_alive(uplink, meant))
        return meant;
    for (size_t i = 0; i < uplink->peer_count; i++) {
        struct peer *peer = &uplink->peers[i];
        if (!is_alive(uplink, peer))
            continue;
        if (meant && NAME_HOST(peer->name) == NAME_HOST(meant->name))
            return peer;
        if (!other)
            other = peer;
    }
    return other ? other : meant && meant->heard_ms > 0 ? meant : NULL;
}

void uplink_send(struct uplink *uplink, const struct path *path, const uint8_t *datagram,
                 size_t length)
{
    struct peer *peer = peer_for(uplink, path->lb);
    if (!peer || length > DATAGRAM_SIZE_MAX)
        return;
    if (!peer->frame) {
        peer->frame = malloc(uplink->options.frame_size);
        if (!peer->frame)
            return;
        frame_begin(&peer->builder, peer->frame, uplink->options.frame_size);
    }
    const struct frame_entry entry = {
        .listener = path->listener,
        .address = path->address,
        .datagram = datagram,
        .length = (uint16_t)length,
    };
    enum status status = frame_add(&peer->builder, &entry);
    if (status == STATUS_FULL) {
        close_frame(uplink, peer);
        status = frame_add(&peer->builder, &entry);
    }
    if (status == STATUS_TOO_LONG)
        send_outsized(uplink, peer, &entry);
}

void uplink_flush(struct uplink *uplink)
{
    for (size_t i = 0; i < uplink->peer_count; i++)
        close_frame(uplink, &uplink->peers[i]);
}

/* --- receiving --- */

static struct peer *longest_silent(struct uplink *uplink)
{
    struct peer *oldest = &uplink->peers[0];
    for (size_t i = 1; i < uplink->peer_count; i++) {
        if (uplink->peers[i].heard_ms < oldest->heard_ms)
            oldest = &uplink->peers[i];
    }
    return oldest;
}

static struct peer *find_peer(struct uplink *uplink, const struct boot_id *boot)
{
    for (size_t i = 0; i < uplink->peer_count; i++) {
        if (boot_id_compare(&uplink->peers[i].boot, boot) == 0)
            return &uplink->peers[i];
    }
    return NULL;
}

/* An address is bound by one process at a time: a later boot there follows the former one. */
static struct peer *find_predecessor(struct uplink *uplink, const struct address *address)
{
    uint32_t name = name_of(uplink, address);
    for (size_t i = 0; i < uplink->peer_count; i++) {
        struct peer *peer = &uplink->peers[i];
        if (peer->heard_ms > 0 ? address_equal(&peer->address, address) : peer->name == name)
            return peer;
    }
    return NULL;
}

static struct peer *new_peer(struct uplink *uplink)
{
    if (uplink->peer_count < UPLINK_PEERS_MAX)
        return &uplink->peers[uplink->peer_count++];
    struct peer *peer = longest_silent(uplink);
    close_frame(uplink, peer);
    return peer;
}

/* The lb of an authentic frame, which may have a new address. */
static struct peer *hear_peer(struct uplink *uplink, const struct boot_id *boot,
                              const struct address *address)
{
    struct peer *peer = find_peer(uplink, boot);
    if (!peer) {
        peer = find_predecessor(uplink, address);
        if (peer && boot_id_compare(boot, &peer->boot) < 0)
            return peer; /* a late frame of its former life */
        if (!peer)
            peer = new_peer(uplink);
        peer->boot = *boot;
        char text[ADDRESS_TEXT_MAX];
        log_line(LOG_INFO, "uplink", "load balancer heard", "address=%s",
                 address_format(address, text));
    }
    peer->address = *address;
    peer->name = name_of(uplink, address);
    peer->heard_ms = io_now_ms(uplink->options.io);
    return peer;
}

static void answer_ping(struct uplink *uplink, const struct frame *ping, const struct address *from)
{
    uint8_t pong[FRAME_HEADER_SIZE + 64 + FRAME_TAG_SIZE];
    size_t length;
    /* One that does not name us may be years old. */
    if (ping->names_us)
        (void)hear_peer(uplink, &ping->from, from);
    uplink->health.stamp = ping->health.stamp;
    if (frame_seal_health(&uplink->sealer, FRAME_PONG, &ping->from, &uplink->health, pong,
                          sizeof(pong), &length) == STATUS_OK)
        io_send(uplink->socket, from, pong, length);
}

static void deliver(struct uplink *uplink, struct frame *frame, const struct address *from)
{
    struct peer *peer = hear_peer(uplink, &frame->from, from);
    struct frame_entry entry;
    enum status status;
    while ((status = frame_next(frame, &entry)) == STATUS_OK) {
        const struct path path = {
            .address = entry.address,
            .lb = (uint8_t)(peer - uplink->peers),
            .listener = entry.listener,
        };
        uplink->options.receive(uplink->options.owner, &path, (uint8_t *)entry.datagram,
                                entry.length);
    }
    if (status != STATUS_NOT_FOUND)
        metrics_add(uplink->options.metrics, 0, WORKER_FRAMES_MALFORMED, 1);
}

static void refuse(struct uplink *uplink, enum frame_outcome outcome, const struct address *from)
{
    metrics_add(uplink->options.metrics, 0, drop_metrics[outcome], 1);
    uint64_t suppressed = 0;
    char text[ADDRESS_TEXT_MAX];
    if (log_allow(&uplink->log_limit, io_now_ms(uplink->options.io), 1, &suppressed))
        log_line(LOG_WARN, "uplink", "frame refused", "reason=%s from=%s suppressed=%llu",
                 frame_outcome_text(outcome), address_format(from, text),
                 (unsigned long long)suppressed);
}

static void receive_packet(struct uplink *uplink, struct io_datagram *packet)
{
    struct frame frame;
    enum frame_outcome outcome =
        packet->truncated ? FRAME_MALFORMED
                          : frame_open(uplink->opener, packet->data, packet->length, &frame);
    if (outcome != FRAME_ACCEPTED) {
        refuse(uplink, outcome, &packet->from);
        return;
    }
    if (uplink->health.worker_id == 0)
        return; /* not joined yet */
    switch (frame.type) {
    case FRAME_DATA:
        deliver(uplink, &frame, &packet->from);
        break;
    case FRAME_PING:
        answer_ping(uplink, &frame, &packet->from);
        break;
    case FRAME_PONG: /* workers send no PINGs */
        break;
    }
}

static void receive_batch(void *owner, struct io_socket *socket, struct io_datagram *packets,
                          size_t count)
{
    (void)socket;
    struct uplink *uplink = owner;
    for (size_t i = 0; i < count; i++)
        receive_packet(uplink, &packets[i]);
    uplink_flush(uplink);
}

uint32_t uplink_lb_name(const struct uplink *uplink, uint8_t lb)
{
    return lb < uplink->peer_count ? uplink->peers[lb].name : 0;
}

uint8_t uplink_find_lb(struct uplink *uplink, uint32_t name)
{
    size_t at = 0;
    if (name == 0)
        return PATH_LB_UNKNOWN;
    while (at < uplink->peer_count && uplink->peers[at].name != name)
        at++;
    if (at == UPLINK_PEERS_MAX)
        return PATH_LB_UNKNOWN;
    if (at == uplink->peer_count)
        uplink->peers[uplink->peer_count++] = (struct peer){.name = name};
    return (uint8_t)at;
}

bool uplink_is_reached(const struct uplink *uplink)
{
    for (size_t i = 0; i < uplink->peer_count; i++) {
        if (is_alive(uplink, &uplink->peers[i]))
            return true;
    }
    return false;
}

struct boot_id uplink_boot(const struct uplink *uplink)
{
    return uplink->sealer.boot;
}

void uplink_set_health(struct uplink *uplink, uint16_t worker_id, enum frame_state state,
                       uint32_t sessions)
{
    uplink->health.worker_id = worker_id;
    uplink->health.state = (uint8_t)state;
    uplink->health.sessions = sessions;
}

/* --- beginning and end --- */

enum status uplink_new(struct uplink **created, const struct uplink_options *options)
{
    struct uplink *uplink = calloc(1, sizeof(*uplink));
    if (!uplink)
        return STATUS_NO_MEMORY;
    uplink->options = *options;
    struct boot_id boot;
    uint8_t seed[16];
    const struct io_udp_options udp = {
        .bind = &options->bind,
        .datagram_size_max = FRAME_SIZE_MAX + 512,
        .receive = receive_batch,
        .owner = uplink,
    };
    enum status status =
        keys_derive(options->cluster_key, KEY_HASH_SEED, NULL, 0, seed, sizeof(seed));
    uplink->hash_key = hash_key_from(seed);
    if (status == STATUS_OK)
        status = boot_id_new(&boot, io_unix_ms());
    if (status == STATUS_OK)
        status = frame_sealer_init(&uplink->sealer, options->cluster_key, &boot);
    if (status == STATUS_OK) {
        uplink->opener = frame_opener_new(options->cluster_key, &boot);
        uplink->outsized = malloc(FRAME_HEADER_SIZE + FRAME_ENTRY_HEADER_SIZE + DATAGRAM_SIZE_MAX +
                                  FRAME_TAG_SIZE);
        status = uplink->opener && uplink->outsized ? STATUS_OK : STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK)
        status = io_udp_open(options->io, &udp, &uplink->socket);
    if (status != STATUS_OK) {
        uplink_free(uplink);
        return status;
    }
    *created = uplink;
    return STATUS_OK;
}

void uplink_free(struct uplink *uplink)
{
    if (!uplink)
        return;
    for (size_t i = 0; i < uplink->peer_count; i++)
        free(uplink->peers[i].frame);
    frame_opener_free(uplink->opener);
    frame_sealer_free(&uplink->sealer);
    free(uplink->outsized);
    free(uplink);
}

struct address uplink_local_address(const struct uplink *uplink)
{
    return io_local_address(uplink->socket);
}
