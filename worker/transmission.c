#include "worker/transmission.h"

#include "worker/message.h"
#include "worker/metrics.h"
#include "worker/session.h"

#include <assert.h>
#include <string.h>

#define RTT_MAX_MS UINT16_MAX

struct transmission {
    struct transmission *next; /* to the same peer */
    uint64_t key;
    uint16_t length;
    uint16_t message_id;
    uint8_t kind; /* enum transmission_kind */
    bool is_long; /* which pool it is of */
    uint8_t bytes[];
};

/* The first of its messages is under way, the others wait: NSTART is 1 (RFC 7252 section 4.8). */
struct transmission_peer {
    struct timer timer; /* the first member: the wheel gives it back */
    struct coap_peer peer;
    struct transmission *first;
    uint64_t sent_ms; /* the first time */
    uint32_t timeout_ms;
    uint8_t repeats;
    uint8_t count;
    uint8_t older_count; /* of the first message: what it was put in the place of */
    bool is_outdated;    /* one of those has been acknowledged */
    uint16_t older_ids[COAP_MAX_RETRANSMIT_MAX]; /* no more than there are repetitions */
};

_Static_assert(sizeof(struct transmission) + TRANSMISSION_SHORT_MAX == 128, "as the header says");
_Static_assert(sizeof(struct transmission_peer) <= 112, "as the header says");

static uint64_t hash_peer(const void *context, const void *object)
{
    const struct transmission_peer *peer = object;
    return coap_peer_hash(context, &peer->peer);
}

static bool match_peer(const void *object, const void *key)
{
    return coap_peer_equal(&((const struct transmission_peer *)object)->peer, key);
}

enum status transmissions_init(struct transmissions *transmissions,
                               const struct transmission_options *options)
{
    const size_t head = sizeof(struct transmission);
    assert(options->max_retransmit <= COAP_MAX_RETRANSMIT_MAX);
    *transmissions = (struct transmissions){.options = *options, .random = options->seed | 1};
    wheel_init(&transmissions->wheel, 0);
    enum status status;
    if ((status = table_init(&transmissions->peers, options->peers_max, match_peer, hash_peer,
                             &transmissions->options.hash_key)) != STATUS_OK)
        goto out;
    if ((status = pool_init(&transmissions->peer_pool, sizeof(struct transmission_peer),
                            options->peers_max)) != STATUS_OK)
        goto out;
    if ((status = pool_init(&transmissions->short_pool, head + TRANSMISSION_SHORT_MAX,
                            options->short_max)) != STATUS_OK)
        goto out;
    status = pool_init(&transmissions->long_pool, head + COAP_MESSAGE_SIZE_MAX, options->long_max);
out:
    if (status != STATUS_OK)
        transmissions_free(transmissions);
    return status;
}

void transmissions_free(struct transmissions *transmissions)
{
    pool_free(&transmissions->long_pool);
    pool_free(&transmissions->short_pool);
    pool_free(&transmissions->peer_pool);
    table_free(&transmissions->peers);
    *transmissions = (struct transmissions){0};
}

static void count(struct transmissions *transmissions, enum worker_metric metric)
{
    metrics_add(transmissions->options.metrics, 0, metric, 1);
}

static struct transmission_peer *find_peer(const struct transmissions *transmissions,
                                           const struct coap_peer *peer)
{
    /* Most peers that send us something are owed nothing, and most workers owe nothing. */
    if (transmissions->peers.count == 0)
        return NULL;
    return table_find(&transmissions->peers, coap_peer_hash(&transmissions->options.hash_key, peer),
                      peer);
}

static struct transmission_peer *take_peer(struct transmissions *transmissions,
                                           const struct coap_peer *peer)
{
    struct transmission_peer *taken = find_peer(transmissions, peer);
    if (taken)
        return taken;
    taken = pool_get(&transmissions->peer_pool);
    if (!taken)
        return NULL;
    taken->peer = *peer;
    uint64_t hash = coap_peer_hash(&transmissions->options.hash_key, peer);
    if (table_insert(&transmissions->peers, hash, taken) != STATUS_OK) {
        pool_put(&transmissions->peer_pool, taken);
        return NULL;
    }
    return taken;
}

static void release_peer(struct transmissions *transmissions, struct transmission_peer *peer)
{
    wheel_cancel(&transmissions->wheel, &peer->timer);
    table_remove(&transmissions->peers,
                 coap_peer_hash(&transmissions->options.hash_key, &peer->peer), peer);
    pool_put(&transmissions->peer_pool, peer);
}

static bool is_long(const struct octets *octets)
{
    return octets->length > TRANSMISSION_SHORT_MAX;
}

static void write_octets(struct transmission *message, const struct octets *octets)
{
    struct cursor cursor = cursor_over(octets->bytes, octets->length);
    cursor_bytes(&cursor, 2); /* type and code */
    message->message_id = cursor_u16(&cursor);
    message->length = (uint16_t)octets->length;
    memcpy(message->bytes, octets->bytes, octets->length);
}

static struct transmission *take_message(struct transmissions *transmissions,
                                         const struct octets *octets)
{
    struct transmission *message =
        pool_get(is_long(octets) ? &transmissions->long_pool : &transmissions->short_pool);
    if (!message)
        return NULL;
    message->is_long = is_long(octets);
    write_octets(message, octets);
    return message;
}

static void release_message(struct transmissions *transmissions, struct transmission *message)
{
    pool_put(message->is_long ? &transmissions->long_pool : &transmissions->short_pool, message);
}

/* Marsaglia's xorshift: it spreads timeouts, nobody gains by guessing it. */
static uint64_t draw(struct transmissions *transmissions)
{
    uint64_t random = transmissions->random;
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return transmissions->random = random;
}

static void send_first(struct transmissions *transmissions, struct transmission_peer *peer,
                       uint64_t now_ms)
{
    const struct transmission_options *options = &transmissions->options;
    wheel_set(&transmissions->wheel, &peer->timer, now_ms + peer->timeout_ms);
    options->send(options->owner, &peer->peer, peer->first->bytes, peer->first->length);
}

/* "For a new Confirmable message, the initial timeout is set to a random duration (often not an
 * integral number of seconds) between ACK_TIMEOUT and (ACK_TIMEOUT * ACK_RANDOM_FACTOR) (see
 * Section 4.8), and the retransmission counter is set to 0." (RFC 7252 section 4.2) */
static void begin_first(struct transmissions *transmissions, struct transmission_peer *peer,
                        uint64_t now_ms)
{
    uint32_t least_ms = transmissions->options.ack_timeout_ms;
    uint32_t spread_ms = least_ms * (transmissions->options.random_percent - 100u) / 100;
    peer->timeout_ms = least_ms + (uint32_t)(draw(transmissions) % (spread_ms + 1));
    peer->repeats = 0;
    peer->older_count = 0;
    peer->is_outdated = false;
    peer->sent_ms = now_ms;
    send_first(transmissions, peer, now_ms);
}

static void append(struct transmission_peer *peer, struct transmission *message)
{
    struct transmission **link = &peer->first;
    while (*link)
        link = &(*link)->next;
    *link = message;
    peer->count++;
}

enum transmission_start transmission_send(struct transmissions *transmissions,
                                          const struct coap_peer *peer, enum transmission_kind kind,
                                          uint64_t key, struct octets octets, uint64_t now_ms)
{
    const struct transmission_options *options = &transmissions->options;
    struct cursor cursor = cursor_over(octets.bytes, octets.length);
    enum message_type type = (enum message_type)(cursor_u8(&cursor) >> 4 & 3);
    if (type == MESSAGE_NON) {
        options->send(options->owner, peer, octets.bytes, octets.length);
        return TRANSMISSION_SENT;
    }
    struct transmission_peer *to = take_peer(transmissions, peer);
    struct transmission *message = NULL;
    if (to && to->count < COAP_TRANSMISSIONS_PER_PEER_MAX)
        message = take_message(transmissions, &octets);
    if (!message) {
        if (to && !to->first)
            release_peer(transmissions, to);
        count(transmissions, WORKER_COAP_TRANSMISSIONS_REFUSED);
        return TRANSMISSION_REFUSED;
    }
    message->kind = (uint8_t)kind;
    message->key = key;
    append(to, message);
    if (to->count > 1)
        return TRANSMISSION_QUEUED;
    begin_first(transmissions, to, now_ms);
    return TRANSMISSION_SENT;
}

/* A message in the place of the first one, of the other pool. */
static void replace_first(struct transmissions *transmissions, struct transmission_peer *peer,
                          struct transmission *message)
{
    struct transmission *older = peer->first;
    message->next = older->next;
    message->key = older->key;
    message->kind = older->kind;
    peer->first = message;
    release_message(transmissions, older);
}

/* "The new notification is transmitted with a new Message ID and the following transmission
 * parameters: If the previous (re)transmission attempt timed out, retain its transmission
 * parameters, increment the retransmission counter, and double the timeout" (RFC 7641 section
 * 4.5.2): time_out does that whatever it sends. */
bool transmission_renew(struct transmissions *transmissions, const struct coap_peer *peer,
                        struct octets octets)
{
    struct transmission_peer *to = find_peer(transmissions, peer);
    assert(to && to->older_count < to->repeats && to->first->kind != TRANSMISSION_REQUEST);
    uint16_t older_id = to->first->message_id;
    bool fits = octets.length <= TRANSMISSION_SHORT_MAX || to->first->is_long;
    struct transmission *message = NULL;
    if (is_long(&octets) != to->first->is_long)
        message = take_message(transmissions, &octets);
    if (message) {
        replace_first(transmissions, to, message);
    } else if (fits) {
        write_octets(to->first, &octets);
    } else {
        count(transmissions, WORKER_COAP_TRANSMISSIONS_REFUSED);
        return false;
    }
    to->older_ids[to->older_count++] = older_id;
    return true;
}

/* Takes the message out; the next one begins, or the peer goes. */
static void drop(struct transmissions *transmissions, struct transmission_peer *peer,
                 struct transmission *message, uint64_t now_ms)
{
    bool was_first = message == peer->first;
    struct transmission **link = &peer->first;
    while (*link != message)
        link = &(*link)->next;
    *link = message->next;
    peer->count--;
    release_message(transmissions, message);
    if (!peer->first)
        release_peer(transmissions, peer);
    else if (was_first)
        begin_first(transmissions, peer, now_ms);
}

static void settle(struct transmissions *transmissions, struct transmission_peer *peer,
                   enum transmission_outcome outcome, uint64_t now_ms)
{
    const struct transmission_report report = {
        .kind = (enum transmission_kind)peer->first->kind,
        .outcome = outcome,
        .key = peer->first->key,
        .message_id = peer->first->message_id,
        .peer = peer->peer,
        .now_ms = now_ms,
    };
    drop(transmissions, peer, peer->first, now_ms);
    transmissions->options.settled(transmissions->options.owner, &report);
}

/* Smoothed as in RFC 6298 section 2 as long as it rises. A sample below the estimate is taken as it
 * is: the path can be no slower than that, the rest was a queue, which may well be our own. Of a
 * message that was repeated nobody can tell which copy is answered (Karn's algorithm, section 3
 * there). */
static void measure(const struct transmission_peer *peer, uint64_t now_ms)
{
    struct session *session = peer->peer.session;
    if (!session || peer->repeats > 0)
        return;
    uint64_t rtt_ms = now_ms - peer->sent_ms;
    if (session->rtt_ms > 0 && rtt_ms > session->rtt_ms)
        rtt_ms = (7 * (uint64_t)session->rtt_ms + rtt_ms) / 8;
    session->rtt_ms = (uint16_t)(rtt_ms < 1 ? 1 : rtt_ms > RTT_MAX_MS ? RTT_MAX_MS : rtt_ms);
}

/* "In a piggybacked response, the Message ID of the Confirmable request and the Acknowledgement
 * MUST match, and the tokens of the response and original request MUST match." (RFC 7252
 * section 5.3.2)
 */
static bool has_token(const struct transmission *message, const struct octets *token)
{
    struct cursor cursor = cursor_over(message->bytes, message->length);
    size_t length = cursor_u8(&cursor) & 0x0f;
    cursor_bytes(&cursor, MESSAGE_HEADER_SIZE - 1);
    const uint8_t *bytes = cursor_bytes(&cursor, length);
    return cursor_ok(&cursor) && length == token->length &&
           (length == 0 || memcmp(bytes, token->bytes, length) == 0);
}

static bool is_older(const struct transmission_peer *peer, uint16_t message_id)
{
    for (size_t i = 0; i < peer->older_count; i++) {
        if (peer->older_ids[i] == message_id)
            return true;
    }
    return false;
}

/* An older one: "If the transmission is rejected [...] remove the associated entry from the list of
 * observers of the observed resource." But its acknowledgement "does not signal consistency": the
 * newer one has to go on (RFC 7641 section 4.5.2). */
static enum transmission_match answer_older(struct transmissions *transmissions,
                                            struct transmission_peer *peer,
                                            enum transmission_outcome outcome, uint64_t now_ms)
{
    if (outcome == TRANSMISSION_RESET)
        settle(transmissions, peer, outcome, now_ms);
    else
        peer->is_outdated = true;
    return TRANSMISSION_MATCHED;
}

enum transmission_match transmission_answered(struct transmissions *transmissions,
                                              const struct coap_peer *peer, uint16_t message_id,
                                              enum transmission_outcome outcome,
                                              const struct octets *token, uint64_t now_ms)
{
    struct transmission_peer *from = find_peer(transmissions, peer);
    if (from && is_older(from, message_id))
        return answer_older(transmissions, from, outcome, now_ms);
    /* One that waits has not been sent: nothing can answer it. */
    if (!from || from->first->message_id != message_id)
        return TRANSMISSION_UNMATCHED;
    /* "The server MUST stop retransmitting its response on any matching Acknowledgement (silently
     * ignoring any Response Code or payload) or Reset message." (RFC 7252 section 5.2.2) */
    bool responds = token && from->first->kind == TRANSMISSION_REQUEST;
    if (responds && !has_token(from->first, token))
        return TRANSMISSION_UNMATCHED;
    measure(from, now_ms);
    settle(transmissions, from, outcome, now_ms);
    return responds ? TRANSMISSION_RESPONDED : TRANSMISSION_MATCHED;
}

/* The first that has the key; NULL: none has. */
static struct transmission *find_message(const struct transmission_peer *peer,
                                         enum transmission_kind kind, uint64_t key)
{
    struct transmission *message = peer ? peer->first : NULL;
    while (message && (message->kind != kind || message->key != key))
        message = message->next;
    return message;
}

bool transmission_find(const struct transmissions *transmissions, const struct coap_peer *peer,
                       enum transmission_kind kind, uint64_t key, uint16_t *message_id)
{
    const struct transmission_peer *to = find_peer(transmissions, peer);
    const struct transmission *message = to ? to->first : NULL;
    bool is_there = false;
    for (; message; message = message->next) {
        if (message->kind != kind || message->key != key)
            continue;
        is_there = true;
        *message_id = message->message_id;
    }
    return is_there;
}

bool transmission_cancel(struct transmissions *transmissions, const struct coap_peer *peer,
                         enum transmission_kind kind, uint64_t key, uint64_t now_ms)
{
    struct transmission_peer *to = find_peer(transmissions, peer);
    struct transmission *message = find_message(to, kind, key);
    if (!message)
        return false;
    drop(transmissions, to, message, now_ms);
    return true;
}

void transmission_forget(struct transmissions *transmissions, uint64_t session_id, uint64_t now_ms)
{
    const struct transmission_options *options = &transmissions->options;
    const struct coap_peer gone = {.session_id = session_id};
    struct transmission_peer *peer = find_peer(transmissions, &gone);
    if (!peer)
        return;
    struct transmission *message = peer->first;
    struct transmission_report report = {
        .outcome = TRANSMISSION_CANCELLED,
        .peer = peer->peer,
        .now_ms = now_ms,
    };
    release_peer(transmissions, peer);
    while (message) {
        struct transmission *next = message->next;
        report.kind = (enum transmission_kind)message->kind;
        report.key = message->key;
        report.message_id = message->message_id;
        release_message(transmissions, message);
        options->settled(options->owner, &report);
        message = next;
    }
}

size_t transmission_count(const struct transmissions *transmissions, const struct coap_peer *peer)
{
    const struct transmission_peer *found = find_peer(transmissions, peer);
    return found ? found->count : 0;
}

uint32_t transmission_rtt_ms(const struct coap_peer *peer)
{
    return peer->session ? peer->session->rtt_ms : 0;
}

uint64_t transmission_next_ms(const struct transmissions *transmissions)
{
    return wheel_next_ms(&transmissions->wheel);
}

/* "When the timeout is triggered and the retransmission counter is less than MAX_RETRANSMIT, the
 * message is retransmitted, the retransmission counter is incremented, and the timeout is doubled.
 * If the retransmission counter reaches MAX_RETRANSMIT on a timeout, or if the endpoint receives a
 * Reset message, then the attempt to transmit the message is canceled and the application process
 * informed of failure." (RFC 7252 section 4.2) */
static void time_out(struct transmissions *transmissions, struct transmission_peer *peer,
                     uint64_t now_ms)
{
    const struct transmission_options *options = &transmissions->options;
    if (peer->repeats < options->max_retransmit) {
        peer->repeats++;
        peer->timeout_ms *= 2;
        count(transmissions, WORKER_COAP_RETRANSMISSIONS);
        if (options->repeats)
            options->repeats(options->owner, &peer->peer, (enum transmission_kind)peer->first->kind,
                             peer->first->key, now_ms);
        send_first(transmissions, peer, now_ms);
        return;
    }
    count(transmissions, WORKER_COAP_TIMEOUTS);
    settle(transmissions, peer, peer->is_outdated ? TRANSMISSION_OUTDATED : TRANSMISSION_TIMED_OUT,
           now_ms);
}

void transmission_run(struct transmissions *transmissions, uint64_t now_ms)
{
    struct timer *timer;
    while ((timer = wheel_expire(&transmissions->wheel, now_ms)))
        time_out(transmissions, (struct transmission_peer *)timer, now_ms);
}
