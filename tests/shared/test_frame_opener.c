#include "tests/shared/link.h"

#include <criterion/criterion.h>
#include <string.h>
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/memory.h>

static const struct boot_id nobody;

Test(frame_opener, a_replayed_frame_is_refused_whatever_its_type)
{
    struct link *link = link_new();
    static uint8_t copy[FRAME_SIZE_DEFAULT];
    for (int i = 0; i < 3; i++) {
        if (i == 0)
            link_seal_data(link, &link->worker);
        else
            link_seal_health(link, FRAME_PING, i == 1 ? &link->worker : &nobody);
        memcpy(copy, link->packet, link->length);
        cr_assert_eq(link_open(link), FRAME_ACCEPTED);
        memcpy(link->packet, copy, link->length);
        cr_assert_eq(link_open(link), FRAME_REPLAYED, "case %d", i);
    }
    link_free(link);
}

Test(frame_opener, late_frames_are_taken_once_and_ancient_ones_never)
{
    struct link *link = link_new();
    static const struct {
        uint64_t counter;
        enum frame_outcome want;
    } rows[] = {
        {1000, FRAME_ACCEPTED}, {999, FRAME_ACCEPTED},  {999, FRAME_REPLAYED},
        {937, FRAME_ACCEPTED},  {936, FRAME_REPLAYED},  {1, FRAME_REPLAYED},
        {1001, FRAME_ACCEPTED}, {1000, FRAME_REPLAYED}, {UINT64_MAX, FRAME_ACCEPTED},
        {1002, FRAME_REPLAYED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        link_seal_as(link, &link->lb, rows[i].counter, FRAME_DATA, &link->worker);
        cr_assert_eq(link_open(link), rows[i].want, "row %zu", i);
    }
    link_free(link);
}

Test(frame_opener, a_change_of_any_octet_is_noticed)
{
    struct link *link = link_new();
    static uint8_t good[FRAME_SIZE_DEFAULT];
    link_seal_data(link, &link->worker);
    memcpy(good, link->packet, link->length);
    for (size_t i = 0; i < link->length; i++) {
        memcpy(link->packet, good, link->length);
        link->packet[i] ^= 0x01;
        link->frame.count = 99;
        cr_assert_neq(link_open(link), FRAME_ACCEPTED, "octet %zu", i);
        cr_assert_eq(link->frame.count, 99, "a refused frame shows nothing");
    }
    memcpy(link->packet, good, link->length);
    cr_assert_eq(link_open(link), FRAME_ACCEPTED, "and none of them used up the number");
    link_free(link);
}

Test(frame_opener, a_wrong_tag_and_a_wrong_key_are_told)
{
    struct link *link = link_new();
    link_seal_data(link, &link->worker);
    link->packet[link->length - 1] ^= 0x80;
    cr_assert_eq(link_open(link), FRAME_BAD_TAG, "of a boot not known yet");
    link_seal_data(link, &link->worker);
    cr_assert_eq(link_open(link), FRAME_ACCEPTED);
    link_seal_data(link, &link->worker);
    link->packet[FRAME_HEADER_SIZE] ^= 1;
    cr_assert_eq(link_open(link), FRAME_BAD_TAG, "of a known one");

    link->key.bytes[0] ^= 1;
    link_seal_as(link, &link->lb, 50, FRAME_DATA, &link->worker);
    cr_assert_eq(link_open(link), FRAME_BAD_TAG, "another cluster's");
    link_free(link);
}

Test(frame_opener, each_truncation_is_refused)
{
    struct link *link = link_new();
    static uint8_t good[FRAME_SIZE_DEFAULT];
    link_seal_data(link, &link->worker);
    memcpy(good, link->packet, link->length);
    size_t whole = link->length;
    for (link->length = 0; link->length < whole; link->length++) {
        memcpy(link->packet, good, link->length);
        enum frame_outcome outcome = link_open(link);
        if (link->length < FRAME_HEADER_SIZE + FRAME_ENTRY_HEADER_SIZE + FRAME_TAG_SIZE)
            cr_assert_eq(outcome, FRAME_MALFORMED, "length %zu", link->length);
        else
            cr_assert_eq(outcome, FRAME_BAD_TAG, "length %zu", link->length);
    }
    link_free(link);
}

Test(frame_opener, an_oversized_frame_is_malformed)
{
    struct link *link = link_new();
    static uint8_t packet[FRAME_SIZE_MAX + 1];
    link_seal_data(link, &link->worker);
    memcpy(packet, link->packet, link->length);
    cr_assert_eq(frame_open(link->opener, packet, sizeof packet, &link->frame), FRAME_MALFORMED);
    link_free(link);
}

Test(frame_opener, version_type_and_count_are_checked)
{
    struct link *link = link_new();
    link_seal_data(link, &link->worker);
    link->packet[0] = FRAME_VERSION + 1;
    cr_assert_eq(link_open(link), FRAME_UNKNOWN_VERSION);
    cr_assert_eq(frame_open(link->opener, link->packet, 1, &link->frame), FRAME_UNKNOWN_VERSION,
                 "another version may be of any length");
    link->packet[0] = FRAME_VERSION;
    for (unsigned type = 0; type < 256; type++) {
        if (type == FRAME_DATA)
            continue;
        link->packet[1] = (uint8_t)type;
        cr_assert_eq(link_open(link), FRAME_MALFORMED, "type %u", type);
    }
    link->packet[1] = FRAME_DATA;
    link->packet[3] = 0;
    cr_assert_eq(link_open(link), FRAME_MALFORMED, "no entries");
    link->packet[3] = 2;
    cr_assert_eq(link_open(link), FRAME_MALFORMED, "more than there is room for");

    link_seal_health(link, FRAME_PING, &link->worker);
    link->packet[3] = 1;
    cr_assert_eq(link_open(link), FRAME_MALFORMED, "a PING has none");
    link_seal_health(link, FRAME_PONG, &link->worker);
    link->length++;
    cr_assert_eq(link_open(link), FRAME_MALFORMED, "a PONG has one length");
    link_free(link);
}

Test(frame_opener, health_of_an_unknown_state_is_malformed_and_moves_nothing)
{
    struct link *link = link_new();
    for (uint8_t state = 0; state < 8; state++) {
        struct frame_health health = {.state = state};
        bool known = state == FRAME_STATE_SERVING || state == FRAME_STATE_DRAINING;
        cr_assert_eq(frame_seal_health(&link->sealer, FRAME_PONG, &link->worker, &health,
                                       link->packet, sizeof link->packet, &link->length),
                     STATUS_OK);
        cr_assert_eq(link_open(link), known ? FRAME_ACCEPTED : FRAME_MALFORMED);
    }
    link_free(link);
}

Test(frame_opener, only_what_names_this_boot_is_for_us)
{
    struct link *link = link_new();
    struct boot_id former = link_boot(1999999);
    link_seal_data(link, &former);
    cr_assert_eq(link_open(link), FRAME_NOT_FOR_US);
    link_seal_health(link, FRAME_PING, &former);
    cr_assert_eq(link_open(link), FRAME_NOT_FOR_US);
    link_seal_data(link, &nobody);
    cr_assert_eq(link_open(link), FRAME_NOT_FOR_US, "the zero id is for PINGs");
    link_seal_health(link, FRAME_PONG, &nobody);
    cr_assert_eq(link_open(link), FRAME_NOT_FOR_US);
    link_seal_health(link, FRAME_PING, &nobody);
    cr_assert_eq(link_open(link), FRAME_ACCEPTED);
    link_free(link);
}

Test(frame_opener, our_own_frame_sent_back_is_not_for_us)
{
    struct link *link = link_new();
    link_seal_as(link, &link->worker, 1, FRAME_PING, &nobody);
    cr_assert_eq(link_open(link), FRAME_NOT_FOR_US);
    link_seal_as(link, &link->worker, 2, FRAME_DATA, &link->worker);
    cr_assert_eq(link_open(link), FRAME_NOT_FOR_US);
    link_free(link);
}

Test(frame_opener, each_boot_has_a_window_of_its_own)
{
    struct link *link = link_new();
    for (uint64_t boot = 1; boot <= 5; boot++) {
        struct boot_id from = link_boot(boot);
        link_seal_as(link, &from, 1, FRAME_DATA, &link->worker);
        cr_assert_eq(link_open(link), FRAME_ACCEPTED);
        cr_assert_eq(boot_id_compare(&link->frame.from, &from), 0);
    }
    for (uint64_t boot = 1; boot <= 5; boot++) {
        struct boot_id from = link_boot(boot);
        link_seal_as(link, &from, 1, FRAME_DATA, &link->worker);
        cr_assert_eq(link_open(link), FRAME_REPLAYED);
    }
    link_free(link);
}

static enum frame_outcome open_from(struct link *link, uint64_t boot_ms, uint64_t counter,
                                    enum frame_type type, const struct boot_id *to)
{
    struct boot_id from = link_boot(boot_ms);
    link_seal_as(link, &from, counter, type, to);
    return link_open(link);
}

/* Boots 1 to FRAME_PEERS_MAX, heard in this order. */
static void fill(struct link *link, enum frame_type type, const struct boot_id *to)
{
    for (uint64_t boot = 1; boot <= FRAME_PEERS_MAX; boot++)
        cr_assert_eq(open_from(link, boot, 1, type, to), FRAME_ACCEPTED);
}

Test(frame_opener, the_least_recent_boot_is_evicted_and_is_old_from_then_on)
{
    struct link *link = link_new();
    const struct boot_id *us = &link->worker;
    fill(link, FRAME_DATA, us);
    cr_assert_eq(open_from(link, 1, 2, FRAME_DATA, us), FRAME_ACCEPTED, "1 is heard again");
    cr_assert_eq(open_from(link, 5000, 1, FRAME_DATA, us), FRAME_ACCEPTED);
    cr_assert_eq(open_from(link, 2, 1, FRAME_DATA, us), FRAME_OLD_BOOT, "a replay");
    cr_assert_eq(open_from(link, 2, 2, FRAME_DATA, us), FRAME_OLD_BOOT, "or not");
    cr_assert_eq(open_from(link, 0, 1, FRAME_DATA, us), FRAME_OLD_BOOT, "one below it");
    cr_assert_eq(open_from(link, 2, 9, FRAME_PING, &nobody), FRAME_OLD_BOOT);
    cr_assert_eq(open_from(link, 1, 2, FRAME_DATA, us), FRAME_REPLAYED, "1 kept its window");
    cr_assert_eq(open_from(link, 1, 3, FRAME_DATA, us), FRAME_ACCEPTED);
    cr_assert_eq(open_from(link, 3, 1, FRAME_DATA, us), FRAME_REPLAYED);
    cr_assert_eq(open_from(link, 6000, 1, FRAME_DATA, us), FRAME_ACCEPTED);
    cr_assert_eq(open_from(link, 3, 2, FRAME_DATA, us), FRAME_OLD_BOOT);
    cr_assert_eq(open_from(link, 5000, 2, FRAME_DATA, us), FRAME_ACCEPTED);
    link_free(link);
}

Test(frame_opener, the_floor_never_sinks)
{
    struct link *link = link_new();
    const struct boot_id *us = &link->worker;
    cr_assert_eq(open_from(link, 9000, 1, FRAME_DATA, us), FRAME_ACCEPTED, "heard first, highest");
    for (uint64_t boot = 2; boot <= FRAME_PEERS_MAX; boot++)
        cr_assert_eq(open_from(link, boot, 1, FRAME_DATA, us), FRAME_ACCEPTED);
    cr_assert_eq(open_from(link, 9500, 1, FRAME_DATA, us), FRAME_ACCEPTED, "9000 goes");
    cr_assert_eq(open_from(link, 9501, 1, FRAME_DATA, us), FRAME_ACCEPTED, "2 goes");
    cr_assert_eq(open_from(link, 9000, 2, FRAME_DATA, us), FRAME_OLD_BOOT);
    cr_assert_eq(open_from(link, 8999, 1, FRAME_DATA, us), FRAME_OLD_BOOT);
    cr_assert_eq(open_from(link, 3, 2, FRAME_DATA, us), FRAME_ACCEPTED, "a known one stays");
    link_free(link);
}

Test(frame_opener, boots_that_end_alike_are_told_apart)
{
    struct link *link = link_new();
    /* The same last 8 octets: a time that differs by 2^16 ms, and the same random part. */
    cr_assert_eq(open_from(link, 5, 1, FRAME_DATA, &link->worker), FRAME_ACCEPTED);
    cr_assert_eq(open_from(link, 5 + 65536, 1, FRAME_DATA, &link->worker), FRAME_ACCEPTED);
    cr_assert_eq(open_from(link, 5, 2, FRAME_DATA, &link->worker), FRAME_ACCEPTED);
    cr_assert_eq(open_from(link, 5 + 65536, 1, FRAME_DATA, &link->worker), FRAME_REPLAYED);
    link_free(link);
}

Test(frame_opener, forged_frames_evict_nobody)
{
    struct link *link = link_new();
    const struct boot_id *us = &link->worker;
    fill(link, FRAME_DATA, us);
    for (uint64_t boot = 10000; boot < 10100; boot++) {
        struct boot_id from = link_boot(boot);
        link_seal_as(link, &from, 1, FRAME_DATA, us);
        link->packet[link->length - 1] ^= 1;
        cr_assert_eq(link_open(link), FRAME_BAD_TAG);
    }
    for (uint64_t boot = 1; boot <= FRAME_PEERS_MAX; boot++) {
        cr_assert_eq(open_from(link, boot, 1, FRAME_DATA, us), FRAME_REPLAYED);
        cr_assert_eq(open_from(link, boot, 2, FRAME_DATA, us), FRAME_ACCEPTED);
    }
    link_free(link);
}

/* The PINGs to nobody of many dead boots, recorded and sent again. */
Test(frame_opener, pings_to_nobody_evict_only_their_like)
{
    struct link *link = link_new();
    const struct boot_id *us = &link->worker;
    cr_assert_eq(open_from(link, 1, 1, FRAME_DATA, us), FRAME_ACCEPTED);
    for (uint64_t boot = 2; boot < 2 + 2 * FRAME_PEERS_MAX; boot++) {
        cr_assert_eq(open_from(link, boot, 1, FRAME_PING, &nobody), FRAME_ACCEPTED);
        cr_assert_eq(open_from(link, boot, 1, FRAME_PING, &nobody), FRAME_REPLAYED);
    }
    cr_assert_eq(open_from(link, 1, 1, FRAME_DATA, us), FRAME_REPLAYED);
    cr_assert_eq(open_from(link, 1, 2, FRAME_DATA, us), FRAME_ACCEPTED, "it has kept its place");
    cr_assert_eq(open_from(link, 2, 2, FRAME_DATA, us), FRAME_ACCEPTED, "and there is no floor");
    link_free(link);
}

Test(frame_opener, a_ping_to_nobody_is_answered_though_there_is_no_place)
{
    struct link *link = link_new();
    const struct boot_id *us = &link->worker;
    fill(link, FRAME_DATA, us);
    cr_assert_eq(open_from(link, 7000, 1, FRAME_PING, &nobody), FRAME_ACCEPTED);
    cr_assert_eq(open_from(link, 1, 2, FRAME_DATA, us), FRAME_ACCEPTED, "nobody had to go");
    cr_assert_eq(open_from(link, 7000, 2, FRAME_PING, us), FRAME_ACCEPTED, "now 2 has");
    cr_assert_eq(open_from(link, 2, 2, FRAME_DATA, us), FRAME_OLD_BOOT);
    cr_assert_eq(open_from(link, 7000, 2, FRAME_PING, us), FRAME_REPLAYED);
    link_free(link);
}

Test(frame_opener, who_pinged_nobody_and_then_named_us_keeps_its_place)
{
    struct link *link = link_new();
    const struct boot_id *us = &link->worker;
    fill(link, FRAME_PING, &nobody);
    cr_assert_eq(open_from(link, 1, 2, FRAME_PING, us), FRAME_ACCEPTED);
    for (uint64_t boot = 8000; boot < 8000 + FRAME_PEERS_MAX; boot++)
        cr_assert_eq(open_from(link, boot, 1, FRAME_PING, &nobody), FRAME_ACCEPTED);
    cr_assert_eq(open_from(link, 1, 2, FRAME_PING, us), FRAME_REPLAYED);
    link_free(link);
}

static size_t allocations;

static void *counting_malloc(size_t size)
{
    allocations++;
    return malloc(size);
}

static void *counting_realloc(void *old, size_t size)
{
    allocations++;
    return realloc(old, size);
}

Test(frame_opener, the_library_allocates_nothing_for_a_frame)
{
    struct link *link = link_new();
    cr_assert_eq(wolfSSL_SetAllocators(counting_malloc, free, counting_realloc), 0);
    link_seal_data(link, &link->worker);
    cr_assert_eq(link_open(link), FRAME_ACCEPTED);
    link_seal_data(link, &link->worker);
    cr_assert_eq(link_open(link), FRAME_ACCEPTED);
    cr_assert_eq(allocations, 0);
    link_free(link);
}
