#include "worker/link.h"

#include "shared/log.h"
#include "worker/metrics.h"

#include <stdlib.h>
#include <string.h>

/* One boot of one lb thread. */
struct peer {
    struct boot_id boot;
    struct address address;
    uint64_t heard_ms;
    struct frame_builder builder;
    uint8_t *frame; /* frame_size octets, allocated with the peer's first datagram */
};

struct link {
    struct link_options options;
    struct io_socket *socket;
    struct frame_sealer sealer;
    struct frame_opener *opener;
    struct frame_health health;
    struct peer peers[LINK_PEERS_MAX];
    size_t peer_count;
    uint8_t *outsized; /* a frame for one datagram that the link's MTU cannot take */
    struct log_limit log_limit;
};

_Static_assert(LINK_PEERS_MAX <= UINT8_MAX + 1, "struct path numbers an lb in one octet");

static const enum worker_metric drop_metrics[FRAME_OUTCOMES] = {
    [FRAME_MALFORMED] = WORKER_FRAMES_MALFORMED, [FRAME_UNKNOWN_VERSION] = WORKER_FRAMES_VERSION,
    [FRAME_BAD_TAG] = WORKER_FRAMES_BAD_TAG,     [FRAME_REPLAYED] = WORKER_FRAMES_REPLAYED,
    [FRAME_OLD_BOOT] = WORKER_FRAMES_OLD_BOOT,   [FRAME_NOT_FOR_US] = WORKER_FRAMES_NOT_FOR_US,
};

/* --- sending --- */

static void close_frame(struct link *link, struct peer *peer)
{
    if (!peer->frame || peer->builder.count == 0)
        return;
    size_t length;
    if (frame_seal(&link->sealer, &peer->boot, &peer->builder, &length) == STATUS_OK)
        io_send(link->socket, &peer->address, peer->frame, length);
    frame_begin(&peer->builder, peer->frame, link->options.frame_size);
}

/* The kernel cuts it into fragments; rare enough that this is better than a limit of our own. */
static void send_outsized(struct link *link, struct peer *peer, const struct frame_entry *entry)
{
    struct frame_builder builder;
    size_t length;
    frame_begin(&builder, link->outsized,
                FRAME_HEADER_SIZE + FRAME_ENTRY_HEADER_SIZE + DATAGRAM_SIZE_MAX + FRAME_TAG_SIZE);
    if (frame_add(&builder, entry) == STATUS_OK &&
        frame_seal(&link->sealer, &peer->boot, &builder, &length) == STATUS_OK)
        io_send(link->socket, &peer->address, link->outsized, length);
}

void link_send(struct link *link, const struct path *path, const uint8_t *datagram, size_t length)
{
    if (path->lb >= link->peer_count || length > DATAGRAM_SIZE_MAX)
        return;
    struct peer *peer = &link->peers[path->lb];
    if (!peer->frame) {
        peer->frame = malloc(link->options.frame_size);
        if (!peer->frame)
            return;
        frame_begin(&peer->builder, peer->frame, link->options.frame_size);
    }
    const struct frame_entry entry = {
        .listener = path->listener,
        .address = path->address,
        .datagram = datagram,
        .length = (uint16_t)length,
    };
    enum status status = frame_add(&peer->builder, &entry);
    if (status == STATUS_FULL) {
        close_frame(link, peer);
        status = frame_add(&peer->builder, &entry);
    }
    if (status == STATUS_TOO_LONG)
        send_outsized(link, peer, &entry);
}

void link_flush(struct link *link)
{
    for (size_t i = 0; i < link->peer_count; i++)
        close_frame(link, &link->peers[i]);
}

/* --- receiving --- */

static struct peer *longest_silent(struct link *link)
{
    struct peer *oldest = &link->peers[0];
    for (size_t i = 1; i < link->peer_count; i++) {
        if (link->peers[i].heard_ms < oldest->heard_ms)
            oldest = &link->peers[i];
    }
    return oldest;
}

static struct peer *find_peer(struct link *link, const struct boot_id *boot)
{
    for (size_t i = 0; i < link->peer_count; i++) {
        if (boot_id_compare(&link->peers[i].boot, boot) == 0)
            return &link->peers[i];
    }
    return NULL;
}

/* The lb of an authentic frame, which may have a new address. */
static struct peer *hear_peer(struct link *link, const struct boot_id *boot,
                              const struct address *address)
{
    struct peer *peer = find_peer(link, boot);
    if (!peer) {
        if (link->peer_count < LINK_PEERS_MAX) {
            peer = &link->peers[link->peer_count++];
        } else {
            peer = longest_silent(link);
            close_frame(link, peer);
        }
        peer->boot = *boot;
        char text[ADDRESS_TEXT_MAX];
        log_line(LOG_INFO, "link", "load balancer heard", "address=%s",
                 address_format(address, text));
    }
    peer->address = *address;
    peer->heard_ms = io_now_ms(link->options.io);
    return peer;
}

static void answer_ping(struct link *link, const struct frame *ping, const struct address *from)
{
    uint8_t pong[FRAME_HEADER_SIZE + 64 + FRAME_TAG_SIZE];
    size_t length;
    link->health.stamp = ping->health.stamp;
    if (frame_seal_health(&link->sealer, FRAME_PONG, &ping->from, &link->health, pong, sizeof(pong),
                          &length) == STATUS_OK)
        io_send(link->socket, from, pong, length);
}

static void deliver(struct link *link, struct frame *frame, const struct address *from)
{
    struct peer *peer = hear_peer(link, &frame->from, from);
    struct frame_entry entry;
    enum status status;
    while ((status = frame_next(frame, &entry)) == STATUS_OK) {
        const struct path path = {
            .address = entry.address,
            .lb = (uint8_t)(peer - link->peers),
            .listener = entry.listener,
        };
        link->options.receive(link->options.owner, &path, (uint8_t *)entry.datagram, entry.length);
    }
    if (status != STATUS_NOT_FOUND)
        metrics_add(link->options.metrics, 0, WORKER_FRAMES_MALFORMED, 1);
}

static void refuse(struct link *link, enum frame_outcome outcome, const struct address *from)
{
    metrics_add(link->options.metrics, 0, drop_metrics[outcome], 1);
    uint64_t suppressed = 0;
    char text[ADDRESS_TEXT_MAX];
    if (log_allow(&link->log_limit, io_now_ms(link->options.io), 1, &suppressed))
        log_line(LOG_WARN, "link", "frame refused", "reason=%s from=%s suppressed=%llu",
                 frame_outcome_text(outcome), address_format(from, text),
                 (unsigned long long)suppressed);
}

static void receive_packet(struct link *link, struct io_datagram *packet)
{
    struct frame frame;
    enum frame_outcome outcome =
        packet->truncated ? FRAME_MALFORMED
                          : frame_open(link->opener, packet->data, packet->length, &frame);
    if (outcome != FRAME_ACCEPTED) {
        refuse(link, outcome, &packet->from);
        return;
    }
    switch (frame.type) {
    case FRAME_DATA:
        deliver(link, &frame, &packet->from);
        break;
    case FRAME_PING:
        answer_ping(link, &frame, &packet->from);
        break;
    case FRAME_PONG: /* workers send no PINGs */
        break;
    }
}

static void receive_batch(void *owner, struct io_socket *socket, struct io_datagram *packets,
                          size_t count)
{
    (void)socket;
    struct link *link = owner;
    for (size_t i = 0; i < count; i++)
        receive_packet(link, &packets[i]);
    link_flush(link);
}

void link_set_health(struct link *link, enum frame_state state, uint32_t sessions)
{
    link->health.state = (uint8_t)state;
    link->health.sessions = sessions;
}

/* --- beginning and end --- */

enum status link_new(struct link **created, const struct link_options *options)
{
    struct link *link = calloc(1, sizeof(*link));
    if (!link)
        return STATUS_NO_MEMORY;
    link->options = *options;
    link->health.worker_id = options->worker_id;
    link->health.state = FRAME_STATE_SERVING;
    struct boot_id boot;
    const struct io_udp_options udp = {
        .bind = &options->bind,
        .datagram_size_max = FRAME_SIZE_MAX + 512,
        .receive = receive_batch,
        .owner = link,
    };
    enum status status = boot_id_new(&boot, io_unix_ms());
    if (status == STATUS_OK)
        status = frame_sealer_init(&link->sealer, options->cluster_key, &boot);
    if (status == STATUS_OK) {
        link->opener = frame_opener_new(options->cluster_key, &boot);
        link->outsized = malloc(FRAME_HEADER_SIZE + FRAME_ENTRY_HEADER_SIZE + DATAGRAM_SIZE_MAX +
                                FRAME_TAG_SIZE);
        status = link->opener && link->outsized ? STATUS_OK : STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK)
        status = io_udp_open(options->io, &udp, &link->socket);
    if (status != STATUS_OK) {
        link_free(link);
        return status;
    }
    *created = link;
    return STATUS_OK;
}

void link_free(struct link *link)
{
    if (!link)
        return;
    for (size_t i = 0; i < link->peer_count; i++)
        free(link->peers[i].frame);
    frame_opener_free(link->opener);
    frame_sealer_free(&link->sealer);
    free(link->outsized);
    free(link);
}

struct address link_local_address(const struct link *link)
{
    return io_local_address(link->socket);
}
