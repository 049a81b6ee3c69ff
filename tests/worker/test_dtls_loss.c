/* How sessions leave a worker's memory: because the store leases what it has leased before, because
 * another worker has them, because they are idle, and while something is under way. DESIGN.md
 * section 7, invariants 1, 3 and 5. */
#include "worker/dtls.h"

#include "shared/record.h"
#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"

#include <criterion/criterion.h>
#include <string.h>

static struct endpoint first, second;
static struct peer peer;
static const struct peer_options with_cid = {.cid = true};

static void open_endpoints(void)
{
    endpoint_open(&first, &(struct endpoint_options){.worker_id = 1});
    endpoint_open(&second, &(struct endpoint_options){.worker_id = 2, .store = first.store});
}

static void open_both(const struct peer_options *options)
{
    open_endpoints();
    peer_open(&peer, options);
    cr_assert(peer_connect(&peer, &first));
    cr_assert(peer_converses(&peer, &first));
}

static void close_both(void)
{
    peer_close(&peer);
    endpoint_close(&second);
    endpoint_close(&first);
}

static void pass(uint64_t ms)
{
    endpoint_run(&first, ms);
    endpoint_run(&second, ms);
}

/* A forged record by which the second worker claims a session, even that of a peer without CID. */
static void name_session(const struct cid *cid)
{
    enum { PAYLOAD = 24 };
    uint8_t record[11 + CID_LENGTH_MAX + 2 + PAYLOAD] = {25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9};
    memcpy(record + 11, cid->bytes, cid->length);
    record[11 + cid->length + 1] = PAYLOAD;
    endpoint_receive(&second, &peer.address, record, 11u + cid->length + 2 + PAYLOAD);
}

/* --- a store that was restored from an old copy --- */

/* Each number that has sealed a datagram of the log, no more than once. */
static void expect_numbers_once(const struct datagrams *log)
{
    static bool used[16 * SEQUENCE_LEASE];
    memset(used, 0, sizeof(used));
    for (size_t i = 0; i < log->count; i++) {
        struct cursor cursor = cursor_over(log->items[i].bytes, log->items[i].length);
        struct record record;
        cr_assert_eq(record_next(&cursor, RECORD_CID_SELF_DESCRIBED, &record), STATUS_OK);
        cr_assert_lt(record.sequence, sizeof(used) / sizeof(used[0]));
        cr_assert_not(used[record.sequence], "number %llu", (unsigned long long)record.sequence);
        used[record.sequence] = true;
    }
}

Test(dtls_loss, a_lease_from_the_past_ends_the_session_and_seals_nothing)
{
    struct datagrams log = {0};
    open_both(&(struct peer_options){.cid = true});
    endpoint_break_store(&first, &(struct endpoint_breakage){.rewind = true});
    first.log = &log;
    struct session *session = first.receiver;
    /* It asks when a quarter is left, and does not wait for the answer while it has numbers. */
    size_t sent = 0;
    while (session->lease == SESSION_LEASE_HELD && sent++ < SEQUENCE_LEASE)
        dtls_send(first.dtls, session, (const uint8_t *)"on", 2);
    cr_assert_eq(session->lease, SESSION_LEASE_ASKED);
    dtls_send(first.dtls, session, (const uint8_t *)"still ours", 10);
    endpoint_run(&first, 0);
    cr_expect_eq(endpoint_sessions(&first), 0);
    cr_expect_eq(endpoint_count(&first, WORKER_SESSIONS_LOST), 1);
    cr_expect_eq(first.ended, 1);
    cr_expect_eq(first.lost, 0, "nobody is to claim it again for that");
    cr_expect_eq(log.count, sent + 1, "nothing was sealed after the answer");
    expect_numbers_once(&log);
    first.log = NULL;
    datagrams_clear(&log);
    close_both();
}

Test(dtls_loss, a_claim_from_the_past_ends_a_session_in_memory)
{
    open_both(&(struct peer_options){.cid = false});
    pass(MARK_INTERVAL_MS);
    const struct cid cid = first.receiver->own_cid;
    name_session(&cid);
    endpoint_run(&second, 0);
    cr_assert_eq(second.adopted, 1);
    endpoint_break_store(&first, &(struct endpoint_breakage){.rewind = true});
    cr_assert_eq(dtls_claim(second.dtls, &cid), STATUS_OK);
    endpoint_run(&second, 0);
    cr_expect_eq(second.adopted, 1);
    cr_expect_eq(endpoint_count(&second, WORKER_SESSIONS_LOST), 1);
    cr_expect_eq(second.lost, 0, "nobody is to claim it again for that");
    cr_expect_eq(endpoint_sessions(&second), 0);
    close_both();
}

Test(dtls_loss, a_claim_of_a_session_in_memory_goes_on_with_the_new_lease)
{
    open_both(&(struct peer_options){.cid = false});
    pass(MARK_INTERVAL_MS);
    const struct cid cid = first.receiver->own_cid;
    name_session(&cid);
    endpoint_run(&second, 0);
    cr_assert_eq(dtls_claim(second.dtls, &cid), STATUS_OK);
    cr_expect(peer_converses(&peer, &second));
    cr_expect_eq(second.adopted, 1);
    cr_expect_eq(second.receiver->fence, 3);
    cr_expect_eq(endpoint_count(&second, WORKER_SESSIONS_LOST), 0);
    cr_expect(peer_converses(&peer, &second));
    close_both();
}

/* It is looked for by its address while it has just come by its name: one claim is enough, and a
 * second one would have what was written meanwhile refused. */
Test(dtls_loss, what_came_by_name_is_not_claimed_by_address)
{
    open_both(&(struct peer_options){.cid = false});
    pass(MARK_INTERVAL_MS);
    const struct cid cid = first.receiver->own_cid;
    name_session(&cid);
    cr_expect(peer_converses(&peer, &second));
    cr_expect_eq(second.adopted, 1);
    cr_expect_eq(second.receiver->fence, 2);
    cr_expect_eq(endpoint_count(&second, WORKER_SESSIONS_LOST), 0);
    close_both();
}

/* --- who lives at an address --- */

/* The store gives out a session without CID whose address another has by now. */
Test(dtls_loss, a_session_that_nobody_could_find_is_not_kept)
{
    struct peer successor;
    open_both(&(struct peer_options){.cid = false});
    const struct cid cid = first.receiver->own_cid;
    pass(MARK_INTERVAL_MS);
    peer_open(&successor, &(struct peer_options){.identity = ENDPOINT_IDENTITY2});
    cr_assert(peer_connect(&successor, &second));
    name_session(&cid);
    endpoint_run(&second, 0);
    cr_expect_eq(endpoint_sessions(&second), 1);
    cr_expect_eq(second.adopted, 0);
    cr_expect_eq(endpoint_stored(&second), 1, "its record is gone too");
    cr_expect(peer_converses(&successor, &second));
    peer_close(&successor);
    close_both();
}

/* --- idle sessions leave memory --- */

enum { IDLE_S = 10, IDLE_MS = IDLE_S * 1000 + 2000 };

static void open_forgetful(void)
{
    endpoint_open(&first, &(struct endpoint_options){.session_idle_s = IDLE_S});
    peer_open(&peer, &with_cid);
    cr_assert(peer_connect(&peer, &first));
    cr_assert(peer_converses(&peer, &first));
}

static void close_forgetful(void)
{
    peer_close(&peer);
    endpoint_close(&first);
}

Test(dtls_loss, an_idle_session_leaves_memory_and_comes_back)
{
    open_forgetful();
    endpoint_run(&first, MARK_INTERVAL_MS);
    endpoint_run(&first, IDLE_MS);
    cr_expect_eq(endpoint_sessions(&first), 0);
    cr_expect_eq(endpoint_stored(&first), 1);
    cr_expect_eq(endpoint_count(&first, WORKER_SESSIONS_EVICTED), 1);
    cr_expect_eq(first.ended, 1);
    cr_expect(peer_converses(&peer, &first));
    cr_expect_eq(endpoint_count(&first, WORKER_SESSIONS_LOST), 0);
    cr_expect_eq(endpoint_count(&first, WORKER_HANDSHAKES_OK), 1);
    close_forgetful();
}

Test(dtls_loss, an_idle_session_stays_while_its_peer_is_owed_something)
{
    open_forgetful();
    endpoint_run(&first, MARK_INTERVAL_MS);
    first.is_obliged = true;
    endpoint_run(&first, IDLE_MS);
    cr_expect_eq(endpoint_sessions(&first), 1);
    first.is_obliged = false;
    endpoint_run(&first, IDLE_MS);
    cr_expect_eq(endpoint_sessions(&first), 0);
    close_forgetful();
}

/* It would come back with a window that knows nothing of what it has just received. */
Test(dtls_loss, a_session_stays_while_its_mark_is_on_its_way)
{
    open_forgetful();
    endpoint_break_store(&first, &(struct endpoint_breakage){.silent = true});
    endpoint_run(&first, MARK_INTERVAL_MS);
    cr_expect_not(dtls_is_saved(first.dtls), "asked is not saved");
    endpoint_run(&first, IDLE_MS);
    cr_expect_eq(endpoint_sessions(&first), 1);
    endpoint_break_store(&first, &(struct endpoint_breakage){0});
    endpoint_run(&first, 0);
    cr_expect(dtls_is_saved(first.dtls));
    endpoint_run(&first, IDLE_MS);
    cr_expect_eq(endpoint_sessions(&first), 0);
    close_forgetful();
}

/* Numbers were left out, so others may have gone elsewhere; but it cannot be asked for safely yet.
 */
Test(dtls_loss, nor_is_it_claimed_anew_while_its_mark_is_on_its_way)
{
    uint8_t record[128];
    open_forgetful();
    endpoint_break_store(&first, &(struct endpoint_breakage){.silent = true});
    endpoint_run(&first, MARK_INTERVAL_MS);
    endpoint_run(&first, 2000);
    size_t length =
        peer_seal(&peer, RECORD_TYPE_APPLICATION_DATA, "gap", 3, record, sizeof(record));
    endpoint_receive(&first, &peer.address, record, length);
    cr_expect_eq(endpoint_sessions(&first), 1);
    cr_expect_eq(first.received.items[first.received.count - 1].length, 3);
    close_forgetful();
}

Test(dtls_loss, no_session_leaves_while_none_could_come_back)
{
    open_forgetful();
    endpoint_run(&first, MARK_INTERVAL_MS);
    endpoint_break_store(&first, &(struct endpoint_breakage){.trouble = "out of order"});
    endpoint_run(&first, IDLE_MS);
    cr_expect_eq(endpoint_sessions(&first), 1);
    cr_expect_gt(dtls_next_ms(first.dtls), first.now_ms, "nor is it looked at again and again");
    endpoint_break_store(&first, &(struct endpoint_breakage){0});
    endpoint_run(&first, IDLE_MS);
    cr_expect_eq(endpoint_sessions(&first), 0);
    close_forgetful();
}

/* --- lost while something is under way --- */

Test(dtls_loss, a_session_lost_while_its_last_flight_may_be_repeated)
{
    open_endpoints();
    peer_open(&peer, &with_cid);
    cr_assert(peer_connect(&peer, &first));
    cr_assert_eq(endpoint_handshakes(&first), 1, "not heard yet");
    const struct cid cid = peer_server_cid(&peer);
    dtls_lose_session(first.dtls, &cid);
    cr_expect_eq(endpoint_handshakes(&first), 0);
    dtls_lose_session(first.dtls, &cid);
    cr_expect_eq(endpoint_count(&first, WORKER_SESSIONS_LOST), 1, "once");
    endpoint_run(&first, HANDSHAKE_LIFETIME_MS);
    cr_expect(peer_converses(&peer, &second));
    close_both();
}

Test(dtls_loss, a_session_ended_with_a_lease_and_a_mark_under_way)
{
    static const uint8_t close_notify[] = {1, 0};
    uint8_t record[128];
    open_both(&(struct peer_options){.cid = true});
    endpoint_break_store(&first, &(struct endpoint_breakage){.silent = true});
    while (first.receiver->lease == SESSION_LEASE_HELD)
        dtls_send(first.dtls, first.receiver, (const uint8_t *)"x", 1);
    dtls_save(first.dtls);
    size_t length = peer_seal(&peer, RECORD_TYPE_ALERT, close_notify, sizeof(close_notify), record,
                              sizeof(record));
    endpoint_receive(&first, &peer.address, record, length);
    cr_expect_eq(endpoint_sessions(&first), 0);
    endpoint_break_store(&first, &(struct endpoint_breakage){0});
    endpoint_run(&first, 0);
    cr_expect(dtls_is_saved(first.dtls));
    cr_expect_eq(endpoint_stored(&first), 0);
    cr_expect_eq(endpoint_count(&first, WORKER_SESSIONS_LOST), 0);
    close_both();
}

/* Both end in one turn of the store: the second answer finds nobody. */
Test(dtls_loss, two_writes_that_learn_of_the_loss_count_it_once)
{
    uint8_t record[128];
    open_both(&(struct peer_options){.cid = true});
    pass(MARK_INTERVAL_MS);
    cr_assert(peer_converses(&peer, &second));
    struct session *old = session_by_cid(&first.dtls->sessions, second.receiver->own_cid.bytes,
                                         second.receiver->own_cid.length);
    cr_assert_not_null(old);
    while (old->lease == SESSION_LEASE_HELD)
        dtls_send(first.dtls, old, (const uint8_t *)"x", 1);
    size_t length =
        peer_seal(&peer, RECORD_TYPE_APPLICATION_DATA, "astray", 6, record, sizeof(record));
    endpoint_receive(&first, &peer.address, record, length);
    dtls_save(first.dtls);
    endpoint_run(&first, 0);
    cr_expect_eq(endpoint_sessions(&first), 0);
    cr_expect_eq(endpoint_count(&first, WORKER_SESSIONS_LOST), 1);
    cr_expect(dtls_is_saved(first.dtls));
    close_both();
}
