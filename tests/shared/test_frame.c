#include "shared/frame.h"
#include "tests/shared/hex.h"
#include "tests/shared/link.h"

#include <criterion/criterion.h>
#include <string.h>

static uint8_t pattern[DATAGRAM_SIZE_MAX + 1];

static struct frame_entry entry_of(uint8_t listener, size_t length)
{
    struct frame_entry entry = {
        .listener = listener, .datagram = pattern, .length = (uint16_t)length};
    for (size_t i = 0; i < length; i++)
        pattern[i] = (uint8_t)i;
    cr_assert_eq(address_parse(&entry.address, "[2001:db8::7]:5684"), STATUS_OK);
    return entry;
}

Test(frame, boot_ids_order_by_time_and_never_repeat)
{
    struct boot_id first, same_time, later;
    cr_assert_eq(boot_id_new(&first, UINT64_C(0x0123456789ab)), STATUS_OK);
    cr_assert_eq(boot_id_new(&same_time, UINT64_C(0x0123456789ab)), STATUS_OK);
    cr_assert_eq(boot_id_new(&later, UINT64_C(0x0123456789ac)), STATUS_OK);
    cr_assert_lt(boot_id_compare(&first, &later), 0);
    cr_assert_gt(boot_id_compare(&later, &same_time), 0);
    cr_assert_neq(boot_id_compare(&first, &same_time), 0);
    cr_assert_eq(boot_id_compare(&first, &first), 0);
    cr_assert_arr_eq(first.bytes, "\x01\x23\x45\x67\x89\xab", 6);
}

Test(frame, entries_go_round)
{
    struct link *link = link_new();
    static const size_t lengths[] = {0, 1, 57, 700};
    struct frame_builder builder;
    frame_begin(&builder, link->packet, FRAME_SIZE_DEFAULT);
    for (uint8_t i = 0; i < 4; i++) {
        struct frame_entry entry = entry_of(i, lengths[i]);
        cr_assert_eq(frame_add(&builder, &entry), STATUS_OK);
    }
    cr_assert_eq(frame_seal(&link->sealer, &link->worker, &builder, &link->length), STATUS_OK);
    cr_assert_eq(link->length,
                 FRAME_HEADER_SIZE + 4 * FRAME_ENTRY_HEADER_SIZE + 758 + FRAME_TAG_SIZE);

    cr_assert_eq(link_open(link), FRAME_ACCEPTED);
    cr_assert_eq(link->frame.type, FRAME_DATA);
    cr_assert_eq(link->frame.count, 4);
    cr_assert_eq(boot_id_compare(&link->frame.from, &link->lb), 0);
    for (uint8_t i = 0; i < 4; i++) {
        struct frame_entry want = entry_of(i, lengths[i]), got;
        cr_assert_eq(frame_next(&link->frame, &got), STATUS_OK);
        cr_assert_eq(got.listener, i);
        cr_assert_eq(got.flags, 0);
        cr_assert(address_equal(&got.address, &want.address));
        cr_assert_eq(got.length, lengths[i]);
        cr_assert_arr_eq(got.datagram, pattern, lengths[i]);
    }
    struct frame_entry none;
    cr_assert_eq(frame_next(&link->frame, &none), STATUS_NOT_FOUND);
    cr_assert_eq(frame_next(&link->frame, &none), STATUS_NOT_FOUND);
    link_free(link);
}

/* Worked out with another AES-GCM and HMAC: the layout and the key's derivation are fixed. */
Test(frame, a_sealed_frame_is_the_known_one)
{
    struct link *link = link_new();
    uint8_t want[256];
    size_t want_length =
        hex_decode("010100010000000f4240123456789abc0000001e8480123456789abc00000000"
                   "0000000167b02677cb0622c10c4fc51ba1832601c6081b80447c013977039502"
                   "7049ad96dc9ab511c6bcad53c10346820fc7be1adcad693af8104f540534",
                   want, sizeof want);
    link_seal_data(link, &link->worker);
    cr_assert_eq(link->length, want_length);
    cr_assert_arr_eq(link->packet, want, want_length);
    link_free(link);
}

/* 16 datagrams of this size leave room for a small one. */
#define DATAGRAM 57

Test(frame, it_is_full_at_the_link_mtu)
{
    struct link *link = link_new();
    struct frame_builder builder;
    struct frame_entry entry = entry_of(0, DATAGRAM);
    size_t room = FRAME_SIZE_DEFAULT - FRAME_HEADER_SIZE - FRAME_TAG_SIZE;
    size_t fit = room / (FRAME_ENTRY_HEADER_SIZE + DATAGRAM);
    size_t rest = room % (FRAME_ENTRY_HEADER_SIZE + DATAGRAM);

    frame_begin(&builder, link->packet, FRAME_SIZE_DEFAULT);
    for (size_t i = 0; i < fit; i++)
        cr_assert_eq(frame_add(&builder, &entry), STATUS_OK);
    cr_assert_eq(frame_add(&builder, &entry), STATUS_FULL);
    cr_assert_eq(builder.count, fit);
    entry = entry_of(0, rest - FRAME_ENTRY_HEADER_SIZE + 1);
    cr_assert_eq(frame_add(&builder, &entry), STATUS_FULL, "one octet too many");
    entry = entry_of(0, rest - FRAME_ENTRY_HEADER_SIZE);
    cr_assert_eq(frame_add(&builder, &entry), STATUS_OK, "an error of adding does not stick");
    cr_assert_eq(frame_seal(&link->sealer, &link->worker, &builder, &link->length), STATUS_OK);
    cr_assert_eq(link->length, FRAME_SIZE_DEFAULT);
    cr_assert_eq(link_open(link), FRAME_ACCEPTED);
    for (size_t i = 0; i <= fit; i++)
        cr_assert_eq(frame_next(&link->frame, &entry), STATUS_OK);
    cr_assert_eq(frame_next(&link->frame, &entry), STATUS_NOT_FOUND);
    link_free(link);
}

Test(frame, what_fits_no_frame_of_this_size_is_too_long)
{
    struct link *link = link_new();
    struct frame_builder builder;
    size_t room = 500 - FRAME_HEADER_SIZE - FRAME_TAG_SIZE - FRAME_ENTRY_HEADER_SIZE;

    frame_begin(&builder, link->packet, 500);
    struct frame_entry entry = entry_of(0, room + 1);
    cr_assert_eq(frame_add(&builder, &entry), STATUS_TOO_LONG);
    entry = entry_of(0, room);
    cr_assert_eq(frame_add(&builder, &entry), STATUS_OK);

    frame_begin(&builder, link->packet, FRAME_SIZE_MAX);
    entry = entry_of(0, DATAGRAM_SIZE_MAX + 1);
    cr_assert_eq(frame_add(&builder, &entry), STATUS_TOO_LONG);
    entry = entry_of(0, DATAGRAM_SIZE_MAX);
    cr_assert_eq(frame_add(&builder, &entry), STATUS_OK);

    entry = entry_of(0, 0);
    for (size_t size = 0; size < FRAME_HEADER_SIZE + FRAME_TAG_SIZE + FRAME_ENTRY_HEADER_SIZE;
         size++) {
        frame_begin(&builder, link->packet, size);
        cr_assert_eq(frame_add(&builder, &entry), STATUS_TOO_LONG, "size %zu", size);
        cr_assert_eq(builder.count, 0);
    }
    link_free(link);
}

Test(frame, a_frame_of_the_greatest_size_goes_round)
{
    struct link *link = link_new();
    struct frame_builder builder;
    struct frame_entry entry = entry_of(0, 100);
    size_t added = 0;
    /* More space than a frame may have: the bound is kept, not the space. */
    static uint8_t space[FRAME_SIZE_MAX + 1000];
    frame_begin(&builder, space, sizeof space);
    while (frame_add(&builder, &entry) == STATUS_OK)
        added++;
    cr_assert_eq(frame_seal(&link->sealer, &link->worker, &builder, &link->length), STATUS_OK);
    cr_assert_leq(link->length, FRAME_SIZE_MAX);
    cr_assert_gt(link->length, FRAME_SIZE_MAX - FRAME_ENTRY_HEADER_SIZE - 100);
    cr_assert_eq(frame_open(link->opener, space, link->length, &link->frame), FRAME_ACCEPTED);
    for (size_t i = 0; i < added; i++)
        cr_assert_eq(frame_next(&link->frame, &entry), STATUS_OK);
    cr_assert_eq(frame_next(&link->frame, &entry), STATUS_NOT_FOUND);
    link_free(link);
}

Test(frame, a_frame_without_entries_is_not_sealed)
{
    struct link *link = link_new();
    struct frame_builder builder;
    frame_begin(&builder, link->packet, FRAME_SIZE_DEFAULT);
    cr_assert_eq(frame_seal(&link->sealer, &link->worker, &builder, &link->length),
                 STATUS_MALFORMED);
    cr_assert_eq(link->sealer.counter, 0);
    link_free(link);
}

Test(frame, a_counter_never_repeats)
{
    struct link *link = link_new();
    link_seal_data(link, &link->worker);
    link_seal_health(link, FRAME_PING, &link->worker);
    cr_assert_eq(link->sealer.counter, 2, "all types count in one row");

    link->sealer.counter = UINT64_MAX - 1;
    link_seal_health(link, FRAME_PING, &link->worker);
    cr_assert_eq(link_open(link), FRAME_ACCEPTED);
    struct frame_health health = {.state = FRAME_STATE_SERVING};
    struct frame_builder builder;
    struct frame_entry entry = entry_of(0, 1);
    cr_assert_eq(frame_seal_health(&link->sealer, FRAME_PING, &link->worker, &health, link->packet,
                                   sizeof link->packet, &link->length),
                 STATUS_EXHAUSTED);
    frame_begin(&builder, link->packet, FRAME_SIZE_DEFAULT);
    cr_assert_eq(frame_add(&builder, &entry), STATUS_OK);
    cr_assert_eq(frame_seal(&link->sealer, &link->worker, &builder, &link->length),
                 STATUS_EXHAUSTED);
    link_free(link);
}

Test(frame, health_goes_round)
{
    static const enum frame_type types[] = {FRAME_PING, FRAME_PONG};
    struct link *link = link_new();
    for (size_t i = 0; i < 2; i++) {
        struct frame_health health = {.stamp = UINT64_C(0x1122334455667788),
                                      .worker_id = 0xabcd,
                                      .state = FRAME_STATE_DRAINING,
                                      .sessions = 0xdeadbeef};
        cr_assert_eq(frame_seal_health(&link->sealer, types[i], &link->worker, &health,
                                       link->packet, FRAME_HEALTH_SEALED_SIZE, &link->length),
                     STATUS_OK);
        cr_assert_eq(link->length, FRAME_HEALTH_SEALED_SIZE);
        cr_assert_eq(link_open(link), FRAME_ACCEPTED);
        cr_assert_eq(link->frame.type, types[i]);
        cr_assert_eq(link->frame.count, 0);
        cr_assert_eq(link->frame.health.stamp, health.stamp);
        cr_assert_eq(link->frame.health.worker_id, health.worker_id);
        cr_assert_eq(link->frame.health.state, FRAME_STATE_DRAINING);
        cr_assert_eq(link->frame.health.sessions, health.sessions);
        struct frame_entry none;
        cr_assert_eq(frame_next(&link->frame, &none), STATUS_NOT_FOUND, "it has no entries");
    }
    link_free(link);
}

Test(frame, health_has_a_type_and_a_size)
{
    struct link *link = link_new();
    struct frame_health health = {.state = FRAME_STATE_SERVING};
    cr_assert_eq(frame_seal_health(&link->sealer, FRAME_DATA, &link->worker, &health, link->packet,
                                   sizeof link->packet, &link->length),
                 STATUS_UNSUPPORTED);
    cr_assert_eq(frame_seal_health(&link->sealer, FRAME_PING, &link->worker, &health, link->packet,
                                   FRAME_HEALTH_SEALED_SIZE - 1, &link->length),
                 STATUS_TOO_LONG);
    cr_assert_eq(link->sealer.counter, 0);
    link_free(link);
}

/* Seals these octets as the entries of an authentic frame, and opens it. */
static void open_entries(struct link *link, const char *hex, size_t padding, uint16_t count)
{
    uint8_t raw[128];
    size_t length = hex_decode(hex, raw, sizeof raw);
    struct frame_builder builder;
    frame_begin(&builder, link->packet, FRAME_SIZE_MAX);
    writer_bytes(&builder.writer, raw, length);
    memset(writer_space(&builder.writer, padding), 0, padding);
    builder.count = count;
    cr_assert_eq(frame_seal(&link->sealer, &link->worker, &builder, &link->length), STATUS_OK);
    cr_assert_eq(link_open(link), FRAME_ACCEPTED);
}

#define ENTRY_HEAD "00 00 20010db8000000000000000000000007 1634"

Test(frame, entries_that_do_not_parse_are_malformed_for_good)
{
    static const struct {
        const char *hex;
        size_t padding;
        uint16_t count;
        int good; /* entries before the fault */
    } rows[] = {
        {ENTRY_HEAD "0001", 0, 1, 0},                                   /* length past the end */
        {ENTRY_HEAD "ffff", 100, 1, 0},                                 /* far past it */
        {ENTRY_HEAD "0801", DATAGRAM_SIZE_MAX + 1, 1, 0},               /* oversized */
        {ENTRY_HEAD "0001 aa 00", 0, 1, 1},                             /* an octet left over */
        {ENTRY_HEAD "0000" ENTRY_HEAD "0000", 0, 1, 1},                 /* more than counted */
        {ENTRY_HEAD "0016" ENTRY_HEAD "0000", 0, 2, 1},                 /* fewer than counted */
        {ENTRY_HEAD "0000" ENTRY_HEAD "0015" ENTRY_HEAD "00", 1, 3, 2}, /* cut in a header */
    };
    struct link *link = link_new();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct frame_entry entry;
        open_entries(link, rows[i].hex, rows[i].padding, rows[i].count);
        for (int good = 0; good < rows[i].good; good++)
            cr_assert_eq(frame_next(&link->frame, &entry), STATUS_OK, "row %zu", i);
        cr_assert_eq(frame_next(&link->frame, &entry), STATUS_MALFORMED, "row %zu", i);
        cr_assert_eq(frame_next(&link->frame, &entry), STATUS_MALFORMED, "row %zu", i);
    }
    link_free(link);
}

Test(frame, the_greatest_datagram_and_unknown_flags_are_taken)
{
    struct link *link = link_new();
    struct frame_entry entry;
    open_entries(link, "00 ff 20010db8000000000000000000000007 1634 0800", DATAGRAM_SIZE_MAX, 1);
    cr_assert_eq(frame_next(&link->frame, &entry), STATUS_OK);
    cr_assert_eq(entry.length, DATAGRAM_SIZE_MAX);
    cr_assert_eq(frame_next(&link->frame, &entry), STATUS_NOT_FOUND);
    link_free(link);
}

Test(frame, each_outcome_has_a_label)
{
    for (int a = 0; a < FRAME_OUTCOMES; a++) {
        cr_assert_str_neq(frame_outcome_text((enum frame_outcome)a), "unknown");
        for (int b = 0; b < a; b++)
            cr_assert_str_neq(frame_outcome_text((enum frame_outcome)a),
                              frame_outcome_text((enum frame_outcome)b));
    }
    cr_assert_str_eq(frame_outcome_text(FRAME_BAD_TAG), "bad_tag");
    cr_assert_str_eq(frame_outcome_text(FRAME_OUTCOMES), "unknown");
}
