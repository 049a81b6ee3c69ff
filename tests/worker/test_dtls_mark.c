/* How soon the store knows of a record, by what it did. DESIGN.md section 7, invariant 5. */
#include "worker/dtls.h"

#include "shared/record.h"
#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"
#include "worker/session_record.h"

#include <criterion/criterion.h>
#include <string.h>

static struct endpoint first, second;
static struct peer peer;

struct sealed {
    uint8_t bytes[128];
    size_t length;
};

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

static struct sealed sealed_record(void)
{
    struct sealed sealed;
    sealed.length = peer_seal(&peer, RECORD_TYPE_APPLICATION_DATA, "data", 4, sealed.bytes,
                              sizeof sealed.bytes);
    return sealed;
}

/* How often its content reaches the application. */
static size_t receive(struct endpoint *endpoint, const struct sealed *sealed)
{
    size_t before = endpoint->received.count;
    endpoint_receive(endpoint, &peer.address, sealed->bytes, sealed->length);
    endpoint_run(endpoint, 0);
    return endpoint->received.count - before;
}

/* All that has happened so far is saved; what comes now has the effect. */
static void open_both(enum dtls_effect effect, uint32_t session_idle_s)
{
    endpoint_open(&first,
                  &(struct endpoint_options){.worker_id = 1, .session_idle_s = session_idle_s});
    endpoint_open(&second, &(struct endpoint_options){.worker_id = 2, .store = first.store});
    peer_open(&peer, &(struct peer_options){.cid = true});
    cr_assert(peer_connect(&peer, &first));
    cr_assert(peer_converses(&peer, &first));
    endpoint_run(&first, MARK_INTERVAL_MS);
    /* peer_seal has numbers of its own: from here on none is left out. */
    struct sealed record = sealed_record();
    cr_assert_eq(receive(&first, &record), 1);
    endpoint_run(&first, MARK_INTERVAL_MS);
    cr_assert(dtls_is_saved(first.dtls));
    first.effect = second.effect = effect;
}

Test(dtls_mark, what_changed_nothing_is_saved_later)
{
    open_both(DTLS_CHANGED_NOTHING, 0);
    size_t marks = endpoint_marks(&first);
    for (int i = 0; i < 1000; i++) {
        struct sealed record = sealed_record();
        cr_assert_eq(receive(&first, &record), 1);
        pass(100);
    }
    cr_expect_eq(endpoint_marks(&first), marks);
    cr_expect_not(dtls_is_saved(first.dtls), "a worker that drains saves it");
    pass(MARK_LATER_MS - 1000 * 100 - 1);
    cr_expect_eq(endpoint_marks(&first), marks);
    pass(1);
    cr_expect_eq(endpoint_marks(&first), marks + 1);
    cr_expect(dtls_is_saved(first.dtls));
    close_both();
}

Test(dtls_mark, what_may_have_changed_something_is_saved_soon)
{
    open_both(DTLS_MAY_HAVE_CHANGED, 0);
    size_t marks = endpoint_marks(&first);
    struct sealed record = sealed_record();
    cr_assert_eq(receive(&first, &record), 1);
    pass(MARK_INTERVAL_MS);
    cr_expect_eq(endpoint_marks(&first), marks + 1);
    cr_expect_eq(receive(&second, &record), 0);
    cr_expect_eq(endpoint_count(&second, WORKER_DROPPED_REPLAYED), 1);
    close_both();
}

/* The price: after a crash it counts again, once. */
/* Others of its session may have gone to another worker, which owns it then: a copy that is not saved
 * would never learn it. */
Test(dtls_mark, numbers_that_are_left_out_make_it_soon)
{
    open_both(DTLS_CHANGED_NOTHING, 0);
    size_t marks = endpoint_marks(&first);
    (void)sealed_record();
    struct sealed record = sealed_record();
    cr_assert_eq(receive(&first, &record), 1);
    cr_expect_not(dtls_is_saved(first.dtls));
    pass(MARK_INTERVAL_MS);
    cr_expect_eq(endpoint_marks(&first), marks + 1);
    close_both();
}

Test(dtls_mark, an_heir_may_take_again_what_changed_nothing)
{
    open_both(DTLS_CHANGED_NOTHING, 0);
    struct sealed record = sealed_record();
    cr_assert_eq(receive(&first, &record), 1);
    pass(MARK_INTERVAL_MS);
    cr_expect_eq(receive(&second, &record), 1);
    cr_expect_eq(receive(&second, &record), 0);
    close_both();
}

Test(dtls_mark, nor_after_it_has_been_saved)
{
    open_both(DTLS_CHANGED_NOTHING, 0);
    struct sealed record = sealed_record();
    cr_assert_eq(receive(&first, &record), 1);
    pass(MARK_LATER_MS);
    cr_expect_eq(receive(&second, &record), 0);
    close_both();
}

Test(dtls_mark, one_that_changes_saves_those_before_it)
{
    open_both(DTLS_CHANGED_NOTHING, 0);
    struct sealed harmless = sealed_record();
    cr_assert_eq(receive(&first, &harmless), 1);
    first.effect = DTLS_MAY_HAVE_CHANGED;
    struct sealed change = sealed_record();
    cr_assert_eq(receive(&first, &change), 1);
    pass(MARK_INTERVAL_MS);
    cr_expect_eq(receive(&second, &harmless), 0);
    cr_expect_eq(receive(&second, &change), 0);
    close_both();
}

Test(dtls_mark, an_address_is_saved_soon_whatever_the_record_did)
{
    open_both(DTLS_CHANGED_NOTHING, 0);
    size_t marks = endpoint_marks(&first);
    peer.address = endpoint_address(9, 999);
    struct sealed record = sealed_record();
    cr_assert_eq(receive(&first, &record), 1);
    pass(MARK_INTERVAL_MS);
    cr_expect_eq(endpoint_marks(&first), marks + 1);
    close_both();
}

/* Its mark waits for minutes, and others may have had the session: it is saved before it is asked
 * for, so that it comes back with all that it knew. */
Test(dtls_mark, what_is_put_away_is_saved_first)
{
    open_both(DTLS_CHANGED_NOTHING, 0);
    struct sealed record = sealed_record();
    cr_assert_eq(receive(&first, &record), 1);
    pass(2000);
    (void)sealed_record(); /* lost, or gone elsewhere */
    struct sealed after = sealed_record();
    cr_expect_eq(receive(&first, &after), 1);
    cr_expect_eq(first.adopted, 1);
    cr_expect_eq(receive(&first, &record), 0);
    cr_expect_eq(endpoint_count(&first, WORKER_DROPPED_REPLAYED), 1);
    close_both();
}

Test(dtls_mark, nothing_is_put_away_that_cannot_be_saved)
{
    open_both(DTLS_CHANGED_NOTHING, 0);
    struct sealed record = sealed_record();
    cr_assert_eq(receive(&first, &record), 1);
    pass(2000);
    endpoint_break_store(&first, &(struct endpoint_breakage){.full = true});
    (void)sealed_record();
    struct sealed after = sealed_record();
    cr_expect_eq(receive(&first, &after), 1);
    cr_expect_eq(first.adopted, 0);
    endpoint_break_store(&first, &(struct endpoint_breakage){0});
    close_both();
}

Test(dtls_mark, a_session_is_saved_before_it_is_idle)
{
    enum { IDLE_S = 10 };
    open_both(DTLS_CHANGED_NOTHING, IDLE_S);
    struct sealed record = sealed_record();
    cr_assert_eq(receive(&first, &record), 1);
    pass(IDLE_S * 1000 / 2);
    cr_expect(dtls_is_saved(first.dtls));
    pass(IDLE_S * 1000 / 2 + 2000);
    cr_expect_eq(endpoint_sessions(&first), 0);
    cr_expect_eq(receive(&first, &record), 0);
    close_both();
}

Test(dtls_mark, a_mark_goes_along_with_a_change)
{
    uint8_t space[STORE_MARK_MAX];
    open_both(DTLS_SAVED_WITH_CHANGE, 0);
    struct session *session = first.receiver;
    cr_assert_not_null(session);
    dtls_note_change(first.dtls, session);
    cr_expect_not(dtls_is_saved(first.dtls));
    struct octets mark = dtls_carry_mark(first.dtls, session, space);
    cr_expect_eq(mark.length, SESSION_MARK_SIZE);
    cr_expect(dtls_is_saved(first.dtls), "it is not this endpoint's to save any more");
    struct sealed record = sealed_record();
    cr_assert_eq(receive(&first, &record), 1);
    cr_expect(dtls_is_saved(first.dtls), "nor is it noted again");
    close_both();
}
