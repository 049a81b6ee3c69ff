/* The state table: each event in each state where it has no meaning changes nothing. What the legal
 * ones do is in test_dtls_handshake.c. */
#include "worker/handshake.h"

#include "shared/record.h"
#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"

#include <criterion/criterion.h>
#include <string.h>

/* --- a store that answers when the test says so, whatever and whenever --- */

static struct store_waiter psk_waiter, stored_waiter;
static size_t asked, removed;

enum { FENCE = 7 };

static enum status fetch_identity(struct store *store, struct octets identity,
                                  const struct store_waiter *waiter)
{
    (void)store;
    cr_expect_eq(identity.length, strlen(ENDPOINT_IDENTITY));
    cr_expect_eq(memcmp(identity.bytes, ENDPOINT_IDENTITY, identity.length), 0);
    psk_waiter = *waiter;
    asked++;
    return STATUS_OK;
}

static enum status create_session(struct store *store, const struct store_session *session,
                                  const struct store_waiter *waiter)
{
    (void)store;
    cr_expect_gt(session->sealed.length, 0);
    cr_expect_gt(session->mark.length, 0);
    stored_waiter = *waiter;
    asked++;
    return STATUS_OK;
}

static enum status remove_session(struct store *store, uint64_t fence,
                                  const struct store_waiter *waiter)
{
    (void)store;
    (void)waiter;
    cr_expect_eq(fence, FENCE);
    removed++;
    return STATUS_OK;
}

/* Marks and leases are the session's matter. */
static enum status save_mark(struct store *store, uint64_t fence, struct octets mark,
                             const struct store_waiter *waiter)
{
    (void)store;
    (void)fence;
    (void)mark;
    (void)waiter;
    return STATUS_OK;
}

static size_t run(struct store *store, uint64_t now_ms)
{
    (void)store;
    (void)now_ms;
    return 0;
}

static uint64_t next_ms(const struct store *store)
{
    (void)store;
    return UINT64_MAX;
}

static const char *trouble(const struct store *store)
{
    (void)store;
    return NULL;
}

static const struct store_engine engine = {
    .name = "scripted",
    .fetch_identity = fetch_identity,
    .create_session = create_session,
    .remove_session = remove_session,
    .save_mark = save_mark,
    .run = run,
    .next_ms = next_ms,
    .trouble = trouble,
};
static struct store store = {&engine};

static void answer_psk(const struct cid *subject)
{
    const struct store_answer answer = {.outcome = STORE_NOT_FOUND, .subject = *subject};
    psk_waiter.answer(psk_waiter.owner, &answer); /* so it is one of the process's own */
}

static void answer_stored(const struct cid *subject)
{
    const struct store_answer answer = {.subject = *subject,
                                        .fence = FENCE,
                                        .first = SEQUENCE_HANDSHAKE_RESERVED,
                                        .count = SEQUENCE_LEASE};
    stored_waiter.answer(stored_waiter.owner, &answer);
}

/* --- a handshake in each state --- */

static struct endpoint endpoint;
static struct handshakes *handshakes;
static struct peer peer;
static struct datagram key_exchange, finished; /* the client's last flight, in two */

/* The flight's first record, and the rest. */
static void split_flight(void)
{
    struct datagram flight = datagrams_take(&peer.out);
    cr_assert_eq(peer.out.count, 0, "the client sends it as one datagram");
    struct cursor cursor = cursor_over(flight.bytes, flight.length);
    struct record record;
    cr_assert_eq(record_next(&cursor, RECORD_CID_SELF_DESCRIBED, &record), STATUS_OK);
    key_exchange = flight;
    key_exchange.length = record.header_length + record.payload_length;
    finished = flight;
    finished.bytes += key_exchange.length;
    finished.length -= key_exchange.length;
}

static struct handshake *only_handshake(void)
{
    return handshake_by_address(handshakes, &peer.address);
}

static void deliver(const struct datagram *datagram)
{
    endpoint_receive(&endpoint, &peer.address, datagram->bytes, datagram->length);
}

static struct handshake *bring_to(enum handshake_state state)
{
    peer_open(&peer, &(struct peer_options){.cid = true});
    peer_step(&peer);
    peer_deliver(&peer, &endpoint);
    peer_collect(&peer, &endpoint);
    peer_step(&peer);
    peer_deliver(&peer, &endpoint);
    peer_collect(&peer, &endpoint);
    peer_step(&peer);
    split_flight();
    struct handshake *handshake = only_handshake();
    cr_assert_not_null(handshake);
    if (state > HANDSHAKE_TALKING)
        deliver(&key_exchange);
    if (state > HANDSHAKE_LOOKING_UP) {
        answer_psk(&handshake->own_cid);
        cr_assert_eq(handshake->state, HANDSHAKE_TALKING, "the Finished is still to come");
        deliver(&finished);
    }
    if (state > HANDSHAKE_STORING)
        answer_stored(&handshake->own_cid);
    cr_assert_eq(handshake->state, state);
    datagrams_clear(&endpoint.sent);
    return handshake;
}

static void end_peer(void)
{
    handshake_release(handshakes, only_handshake());
    free(key_exchange.bytes);
    peer_close(&peer);
    datagrams_clear(&endpoint.sent);
}

static void open_handshakes(void)
{
    endpoint_open(&endpoint, &(struct endpoint_options){0});
    handshakes = &endpoint.dtls->handshakes;
    handshakes->options.store = &store;
    /* One goes all the way, so that both waiters are known. */
    (void)bring_to(HANDSHAKE_RETAINED);
    end_peer();
}

static void close_handshakes(void)
{
    endpoint_close(&endpoint);
}

TestSuite(handshake, .init = open_handshakes, .fini = close_handshakes);

static void fire(struct handshake *handshake, enum handshake_event event)
{
    const struct cid subject = handshake->own_cid;
    const struct path path = handshake->path;
    switch (event) {
    case HANDSHAKE_DATAGRAM:
        handshake_receive(handshakes, handshake, endpoint.now_ms, &path, key_exchange.bytes,
                          key_exchange.length);
        break;
    case HANDSHAKE_PSK:
        answer_psk(&subject);
        break;
    case HANDSHAKE_STORED:
        answer_stored(&subject);
        break;
    case HANDSHAKE_FINISHED_AGAIN:
        handshake_finished_again(handshakes, handshake, endpoint.now_ms);
        break;
    case HANDSHAKE_TIMER:
    case HANDSHAKE_EVENTS:
        break;
    }
}

static const bool legal[HANDSHAKE_STATES][HANDSHAKE_EVENTS] = {
    [HANDSHAKE_TALKING] = {[HANDSHAKE_DATAGRAM] = true, [HANDSHAKE_TIMER] = true},
    [HANDSHAKE_LOOKING_UP] =
        {[HANDSHAKE_DATAGRAM] = true, [HANDSHAKE_PSK] = true, [HANDSHAKE_TIMER] = true},
    [HANDSHAKE_STORING] = {[HANDSHAKE_STORED] = true, [HANDSHAKE_TIMER] = true},
    [HANDSHAKE_RETAINED] = {[HANDSHAKE_FINISHED_AGAIN] = true, [HANDSHAKE_TIMER] = true},
};

static uint64_t sum_of_metrics(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < WORKER_METRICS_COUNT; i++)
        sum += metrics_get(&endpoint.metrics, i);
    return sum;
}

Test(handshake, events_without_meaning_change_nothing)
{
    for (enum handshake_state state = 0; state < HANDSHAKE_STATES; state++) {
        for (enum handshake_event event = 0; event < HANDSHAKE_EVENTS; event++) {
            if (legal[state][event])
                continue;
            struct handshake *handshake = bring_to(state);
            const struct handshake before = *handshake;
            uint64_t metrics = sum_of_metrics();
            size_t asked_before = asked, removed_before = removed;
            for (int i = 0; i < 3; i++)
                fire(handshake, event);
            cr_expect_eq(only_handshake(), handshake, "state %d, event %d", state, event);
            cr_expect_eq(memcmp(&before, handshake, sizeof(before)), 0, "state %d, event %d", state,
                         event);
            cr_expect_eq(endpoint.sent.count, 0, "state %d, event %d", state, event);
            cr_expect_eq(asked, asked_before);
            cr_expect_eq(removed, removed_before);
            cr_expect_eq(sum_of_metrics(), metrics);
            end_peer();
        }
    }
}

Test(handshake, goes_its_way_whatever_came_between)
{
    struct handshake *handshake = bring_to(HANDSHAKE_TALKING);
    static const enum handshake_event noise[] = {HANDSHAKE_PSK, HANDSHAKE_STORED,
                                                 HANDSHAKE_FINISHED_AGAIN};
    for (size_t i = 0; i < 3; i++)
        fire(handshake, noise[i]);
    deliver(&key_exchange);
    fire(handshake, HANDSHAKE_STORED);
    fire(handshake, HANDSHAKE_FINISHED_AGAIN);
    fire(handshake, HANDSHAKE_PSK);
    fire(handshake, HANDSHAKE_PSK);
    deliver(&finished);
    fire(handshake, HANDSHAKE_DATAGRAM);
    fire(handshake, HANDSHAKE_PSK);
    fire(handshake, HANDSHAKE_STORED);
    cr_expect_eq(handshake->state, HANDSHAKE_RETAINED);
    peer_collect(&peer, &endpoint);
    peer_step(&peer);
    cr_expect(peer.connected);
    end_peer();
}

/* Nobody waits any more: what the store has made is taken back, once. */
Test(handshake, answers_for_one_that_is_gone)
{
    const struct cid own_cid = bring_to(HANDSHAKE_STORING)->own_cid;
    end_peer();
    size_t removed_before = removed;
    answer_psk(&own_cid);
    cr_expect_eq(removed, removed_before);
    answer_stored(&own_cid);
    cr_expect_eq(removed, removed_before + 1);
    cr_expect_eq(endpoint.sent.count, 0);
    handshake_release(handshakes, NULL);
}

Test(handshake, keys_do_not_outlive_their_use)
{
    static const uint8_t none[sizeof(struct tls_result) + sizeof(struct psk)];
    struct handshake *handshake = bring_to(HANDSHAKE_RETAINED);
    cr_expect_eq(memcmp(&handshake->psk, none, sizeof(handshake->psk)), 0);
    cr_expect_eq(memcmp(&handshake->result, none, sizeof(handshake->result)), 0);
    end_peer();
}

Test(handshake, finds_by_address_and_by_cid)
{
    struct handshake *handshake = bring_to(HANDSHAKE_TALKING);
    struct address elsewhere = endpoint_address(250, 1);
    cr_expect_eq(handshake_by_cid(handshakes, handshake->own_cid.bytes, handshake->own_cid.length),
                 handshake);
    cr_expect_null(
        handshake_by_cid(handshakes, handshake->own_cid.bytes, handshake->own_cid.length - 1u));
    cr_expect_null(handshake_by_address(handshakes, &elsewhere));
    end_peer();
    cr_expect_null(only_handshake());
}
