#include "tests/shared/link.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

struct boot_id link_boot(uint64_t unix_ms)
{
    struct boot_id boot;
    struct writer writer = writer_over(boot.bytes, sizeof boot.bytes);
    writer_u48(&writer, unix_ms);
    writer_u48(&writer, UINT64_C(0x123456789abc));
    return boot;
}

struct link *link_new(void)
{
    struct link *link = calloc(1, sizeof *link);
    cr_assert_not_null(link);
    for (size_t i = 0; i < sizeof link->key.bytes; i++)
        link->key.bytes[i] = (uint8_t)(i * 3);
    link->lb = link_boot(1000000);
    link->worker = link_boot(2000000);
    cr_assert_eq(frame_sealer_init(&link->sealer, &link->key, &link->lb), STATUS_OK);
    link->opener = frame_opener_new(&link->key, &link->worker);
    cr_assert_not_null(link->opener);
    return link;
}

void link_free(struct link *link)
{
    frame_opener_free(link->opener);
    frame_sealer_free(&link->sealer);
    free(link);
}

static void seal_data(struct link *link, struct frame_sealer *sealer, const struct boot_id *to)
{
    static const uint8_t datagram[] = "a client's datagram";
    struct frame_entry entry = {.listener = 1, .datagram = datagram, .length = sizeof datagram};
    struct frame_builder builder;
    frame_begin(&builder, link->packet, FRAME_SIZE_DEFAULT);
    cr_assert_eq(frame_add(&builder, &entry), STATUS_OK);
    cr_assert_eq(frame_seal(sealer, to, &builder, &link->length), STATUS_OK);
}

static void seal_health(struct link *link, struct frame_sealer *sealer, enum frame_type type,
                        const struct boot_id *to)
{
    struct frame_health health = {
        .stamp = 77, .worker_id = 5, .state = FRAME_STATE_SERVING, .sessions = 1234};
    cr_assert_eq(frame_seal_health(sealer, type, to, &health, link->packet, sizeof link->packet,
                                   &link->length),
                 STATUS_OK);
}

void link_seal_data(struct link *link, const struct boot_id *to)
{
    seal_data(link, &link->sealer, to);
}

void link_seal_health(struct link *link, enum frame_type type, const struct boot_id *to)
{
    seal_health(link, &link->sealer, type, to);
}

void link_seal_as(struct link *link, const struct boot_id *from, uint64_t counter,
                  enum frame_type type, const struct boot_id *to)
{
    struct frame_sealer sealer;
    cr_assert_eq(frame_sealer_init(&sealer, &link->key, from), STATUS_OK);
    sealer.counter = counter - 1;
    if (type == FRAME_DATA)
        seal_data(link, &sealer, to);
    else
        seal_health(link, &sealer, type, to);
    frame_sealer_free(&sealer);
}

enum frame_outcome link_open(struct link *link)
{
    return frame_open(link->opener, link->packet, link->length, &link->frame);
}
