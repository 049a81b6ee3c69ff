#include "shared/frame.h"
#include "shared/frame_wire.h"

#include <stdlib.h>
#include <string.h>

/* One boot that we have heard an authentic frame of. */
struct peer {
    struct boot_id boot;
    struct replay window;
    uint64_t heard; /* the opener's `accepted` when it was last heard: the least goes first */
    bool named_us;  /* it has sent a frame to this very boot of ours; see place_for */
    Aes *aes;       /* one of the opener's schedules */
};

struct frame_opener {
    struct cluster_key key;
    struct boot_id self;
    struct boot_id floor; /* no unknown boot up to this one is heard; all zero at first */
    uint64_t accepted;
    size_t peer_count;
    uint64_t digests[FRAME_PEERS_MAX]; /* digest_of each peer's boot: one dense array to search */
    struct peer peers[FRAME_PEERS_MAX];
    Aes *spare; /* where an unknown boot's key is made, before its tag is known to be good */
    Aes schedules[FRAME_PEERS_MAX + 1];
};

struct header {
    enum frame_type type;
    uint16_t count;
    struct boot_id from;
    struct boot_id to;
    uint64_t counter;
};

static const struct boot_id nobody;

struct frame_opener *frame_opener_new(const struct cluster_key *key, const struct boot_id *self)
{
    struct frame_opener *opener = calloc(1, sizeof *opener);
    if (!opener)
        return NULL;
    opener->key = *key;
    opener->self = *self;
    for (size_t i = 0; i < FRAME_PEERS_MAX; i++)
        opener->peers[i].aes = &opener->schedules[i];
    opener->spare = &opener->schedules[FRAME_PEERS_MAX];
    return opener;
}

void frame_opener_free(struct frame_opener *opener)
{
    if (!opener)
        return;
    /* No other schedule has ever held a key. */
    for (size_t i = 0; i < opener->peer_count; i++)
        wc_AesFree(opener->peers[i].aes);
    wc_AesFree(opener->spare);
    keys_wipe(opener, sizeof *opener);
    free(opener);
}

static struct boot_id read_boot(struct cursor *cursor)
{
    struct boot_id boot = {0};
    const uint8_t *bytes = cursor_bytes(cursor, sizeof boot.bytes);
    if (bytes)
        memcpy(boot.bytes, bytes, sizeof boot.bytes);
    return boot;
}

/* The header, and whether the length can be right for what it says. */
static enum frame_outcome read_header(const uint8_t *packet, size_t length, struct header *header)
{
    struct cursor cursor = cursor_over(packet, length);
    uint8_t version = cursor_u8(&cursor);
    if (cursor_ok(&cursor) && version != FRAME_VERSION)
        return FRAME_UNKNOWN_VERSION;
    uint8_t type = cursor_u8(&cursor);
    header->count = cursor_u16(&cursor);
    header->from = read_boot(&cursor);
    header->to = read_boot(&cursor);
    header->counter = cursor_u64(&cursor);
    if (!cursor_ok(&cursor) || cursor_left(&cursor) < FRAME_TAG_SIZE || length > FRAME_SIZE_MAX)
        return FRAME_MALFORMED;

    size_t body_length = cursor_left(&cursor) - FRAME_TAG_SIZE;
    switch (type) {
    case FRAME_DATA:
        if (header->count == 0 || body_length / FRAME_ENTRY_HEADER_SIZE < header->count)
            return FRAME_MALFORMED;
        break;
    case FRAME_PING:
    case FRAME_PONG:
        if (header->count != 0 || body_length != FRAME_HEALTH_SIZE)
            return FRAME_MALFORMED;
        break;
    default:
        return FRAME_MALFORMED;
    }
    header->type = (enum frame_type)type;
    return FRAME_ACCEPTED;
}

static bool names_us(const struct frame_opener *opener, const struct header *header)
{
    return boot_id_compare(&header->to, &opener->self) == 0;
}

static bool is_for_us(const struct frame_opener *opener, const struct header *header)
{
    /* Our own frame, sent back by someone: its tag would be good. */
    if (boot_id_compare(&header->from, &opener->self) == 0)
        return false;
    return names_us(opener, header) ||
           (header->type == FRAME_PING && boot_id_compare(&header->to, &nobody) == 0);
}

/* The end of a boot id, most of which is random. */
static uint64_t digest_of(const struct boot_id *boot)
{
    struct cursor cursor = cursor_over(boot->bytes, sizeof boot->bytes);
    cursor_bytes(&cursor, sizeof boot->bytes - sizeof(uint64_t));
    return cursor_u64(&cursor);
}

static struct peer *find_peer(struct frame_opener *opener, const struct boot_id *boot)
{
    uint64_t digest = digest_of(boot);
    for (size_t i = 0; i < opener->peer_count; i++) {
        if (opener->digests[i] == digest && boot_id_compare(&opener->peers[i].boot, boot) == 0)
            return &opener->peers[i];
    }
    return NULL;
}

/* The least recently heard of those that never named us, or of all. */
static struct peer *least_recent(struct frame_opener *opener, bool of_all)
{
    struct peer *least = NULL;
    for (size_t i = 0; i < opener->peer_count; i++) {
        struct peer *peer = &opener->peers[i];
        if (peer->named_us && !of_all)
            continue;
        if (!least || peer->heard < least->heard)
            least = peer;
    }
    return least;
}

/* Where a boot that was just heard for the first time goes, or NULL for nowhere.
 *
 * A PING to nobody in particular is authentic, but may be years old: someone who recorded those of
 * many dead boots could push the live ones out with them. So it only takes a free place or that of
 * another that has sent no more than that. Their windows guard nothing but such PINGs, and may be
 * forgotten. A frame that names us cannot be older than we are, and takes the place of any; the
 * window lost with it is made up for by the floor. */
static struct peer *place_for(struct frame_opener *opener, const struct header *header)
{
    if (opener->peer_count < FRAME_PEERS_MAX)
        return &opener->peers[opener->peer_count++];
    struct peer *peer = least_recent(opener, false);
    if (!peer && names_us(opener, header)) {
        peer = least_recent(opener, true);
        if (boot_id_compare(&peer->boot, &opener->floor) > 0)
            opener->floor = peer->boot;
    }
    return peer;
}

/* Takes the spare schedule, which holds the boot's key, and leaves the place's old one for it. */
static struct peer *admit(struct frame_opener *opener, const struct header *header)
{
    struct peer *peer = place_for(opener, header);
    if (peer) {
        Aes *aes = opener->spare;
        opener->spare = peer->aes;
        *peer = (struct peer){.boot = header->from, .aes = aes};
        opener->digests[peer - opener->peers] = digest_of(&peer->boot);
    }
    return peer;
}

static bool read_health(struct cursor cursor, struct frame_health *health)
{
    health->stamp = cursor_u64(&cursor);
    health->worker_id = cursor_u16(&cursor);
    health->state = cursor_u8(&cursor);
    health->sessions = cursor_u32(&cursor);
    return cursor_ok(&cursor) &&
           (health->state == FRAME_STATE_SERVING || health->state == FRAME_STATE_DRAINING);
}

/* Opens in place; false where the tag is wrong (or the library refused: no valid tag either). */
static bool unseal(Aes *aes, const struct header *header, uint8_t *packet, size_t body_length)
{
    struct frame_nonce nonce = frame_nonce_of(header->counter);
    uint8_t *body = packet + FRAME_HEADER_SIZE;
    return wc_AesGcmDecrypt(aes, body, body, (word32)body_length, nonce.bytes, sizeof nonce.bytes,
                            body + body_length, FRAME_TAG_SIZE, packet, FRAME_HEADER_SIZE) == 0;
}

enum frame_outcome frame_open(struct frame_opener *opener, uint8_t *packet, size_t length,
                              struct frame *frame)
{
    struct header header;
    enum frame_outcome outcome = read_header(packet, length, &header);
    if (outcome != FRAME_ACCEPTED)
        return outcome;
    if (!is_for_us(opener, &header))
        return FRAME_NOT_FOR_US;

    struct peer *peer = find_peer(opener, &header.from);
    if (peer) {
        enum replay_outcome replay = replay_check(&peer->window, header.counter);
        if (replay == REPLAY_SEEN || replay == REPLAY_ANCIENT)
            return FRAME_REPLAYED;
    } else {
        if (boot_id_compare(&header.from, &opener->floor) <= 0)
            return FRAME_OLD_BOOT;
        if (frame_key_set(opener->spare, &opener->key, &header.from) != STATUS_OK)
            return FRAME_BAD_TAG;
    }
    size_t body_length = length - FRAME_HEADER_SIZE - FRAME_TAG_SIZE;
    if (!unseal(peer ? peer->aes : opener->spare, &header, packet, body_length))
        return FRAME_BAD_TAG;

    struct frame opened = {
        .type = header.type,
        .count = header.count,
        .names_us = names_us(opener, &header),
        .from = header.from,
    };
    struct cursor body = cursor_over(packet + FRAME_HEADER_SIZE, body_length);
    if (header.type == FRAME_DATA)
        opened.entries = body;
    else if (!read_health(body, &opened.health))
        return FRAME_MALFORMED;

    if (!peer)
        peer = admit(opener, &header);
    if (peer) {
        replay_accept(&peer->window, header.counter);
        peer->heard = ++opener->accepted;
        peer->named_us = peer->named_us || opened.names_us;
    }
    *frame = opened;
    return FRAME_ACCEPTED;
}
