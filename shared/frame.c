/* What both directions share, and the writing one. The opener with its windows: frame_opener.c. */
#include "shared/frame.h"

#include <string.h>

#include "shared/frame_wire.h"

enum status boot_id_new(struct boot_id *boot, uint64_t unix_ms)
{
    struct boot_id made;
    struct writer writer = writer_over(made.bytes, sizeof made.bytes);
    writer_u48(&writer, unix_ms);
    size_t random_length = writer_left(&writer);
    enum status status = keys_random(writer_space(&writer, random_length), random_length);
    if (status == STATUS_OK)
        *boot = made;
    return status;
}

int boot_id_compare(const struct boot_id *a, const struct boot_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

enum status frame_key_set(Aes *aes, const struct cluster_key *key, const struct boot_id *sender)
{
    uint8_t frame_key[FRAME_KEY_SIZE];
    enum status status = keys_derive(key, KEY_FRAME, sender->bytes, sizeof sender->bytes, frame_key,
                                     sizeof frame_key);
    if (status != STATUS_OK)
        goto done;
    if (wc_AesInit(aes, NULL, INVALID_DEVID) != 0 ||
        wc_AesGcmSetKey(aes, frame_key, sizeof frame_key) != 0)
        status = STATUS_CRYPTO;
done:
    keys_wipe(frame_key, sizeof frame_key);
    return status;
}

struct frame_nonce frame_nonce_of(uint64_t counter)
{
    struct frame_nonce nonce;
    struct writer writer = writer_over(nonce.bytes, sizeof nonce.bytes);
    writer_u32(&writer, 0);
    writer_u64(&writer, counter);
    return nonce;
}

enum status frame_sealer_init(struct frame_sealer *sealer, const struct cluster_key *key,
                              const struct boot_id *boot)
{
    memset(sealer, 0, sizeof *sealer);
    sealer->boot = *boot;
    return frame_key_set(&sealer->aes, key, boot);
}

void frame_sealer_free(struct frame_sealer *sealer)
{
    wc_AesFree(&sealer->aes);
    keys_wipe(sealer, sizeof *sealer);
}

/* packet: room for the header, then body_length octets of plain text, then room for the tag. */
static enum status seal(struct frame_sealer *sealer, enum frame_type type, uint16_t count,
                        const struct boot_id *to, uint8_t *packet, size_t body_length,
                        size_t *length)
{
    /* Counted up before the seal, and whether or not it succeeds: a nonce is used once. */
    if (sealer->counter == UINT64_MAX)
        return STATUS_EXHAUSTED;
    uint64_t counter = ++sealer->counter;

    struct writer header = writer_over(packet, FRAME_HEADER_SIZE);
    writer_u8(&header, FRAME_VERSION);
    writer_u8(&header, (uint8_t)type);
    writer_u16(&header, count);
    writer_bytes(&header, sealer->boot.bytes, sizeof sealer->boot.bytes);
    writer_bytes(&header, to->bytes, sizeof to->bytes);
    writer_u64(&header, counter);

    struct frame_nonce nonce = frame_nonce_of(counter);
    uint8_t *body = packet + FRAME_HEADER_SIZE;
    if (wc_AesGcmEncrypt(&sealer->aes, body, body, (word32)body_length, nonce.bytes,
                         sizeof nonce.bytes, body + body_length, FRAME_TAG_SIZE, packet,
                         FRAME_HEADER_SIZE) != 0)
        return STATUS_CRYPTO;
    *length = FRAME_HEADER_SIZE + body_length + FRAME_TAG_SIZE;
    return STATUS_OK;
}

void frame_begin(struct frame_builder *builder, void *space, size_t size)
{
    size_t usable = size < FRAME_SIZE_MAX ? size : FRAME_SIZE_MAX;
    usable = usable < FRAME_TAG_SIZE ? 0 : usable - FRAME_TAG_SIZE;
    builder->writer = writer_over(space, usable);
    builder->count = 0;
    /* Too small even for this: the writer has failed and frame_add says STATUS_TOO_LONG. */
    writer_space(&builder->writer, FRAME_HEADER_SIZE);
}

enum status frame_add(struct frame_builder *builder, const struct frame_entry *entry)
{
    struct writer *writer = &builder->writer;
    if (!writer_ok(writer) || entry->length > DATAGRAM_SIZE_MAX)
        return STATUS_TOO_LONG;
    size_t size = FRAME_ENTRY_HEADER_SIZE + entry->length;
    size_t capacity = (size_t)(writer->end - writer->start) - FRAME_HEADER_SIZE;
    if (size > capacity)
        return STATUS_TOO_LONG;
    if (size > writer_left(writer))
        return STATUS_FULL;
    writer_u8(writer, entry->listener);
    writer_u8(writer, entry->flags);
    address_write(writer, &entry->address);
    writer_u16(writer, entry->length);
    writer_bytes(writer, entry->datagram, entry->length);
    builder->count++;
    return STATUS_OK;
}

enum status frame_seal(struct frame_sealer *sealer, const struct boot_id *to,
                       struct frame_builder *builder, size_t *length)
{
    if (builder->count == 0)
        return STATUS_MALFORMED;
    return seal(sealer, FRAME_DATA, builder->count, to, builder->writer.start,
                writer_length(&builder->writer) - FRAME_HEADER_SIZE, length);
}

enum status frame_seal_health(struct frame_sealer *sealer, enum frame_type type,
                              const struct boot_id *to, const struct frame_health *health,
                              void *space, size_t size, size_t *length)
{
    if (type != FRAME_PING && type != FRAME_PONG)
        return STATUS_UNSUPPORTED;
    if (size < FRAME_HEALTH_SEALED_SIZE)
        return STATUS_TOO_LONG;
    struct writer writer = writer_over(space, size);
    writer_space(&writer, FRAME_HEADER_SIZE);
    writer_u64(&writer, health->stamp);
    writer_u16(&writer, health->worker_id);
    writer_u8(&writer, health->state);
    writer_u32(&writer, health->sessions);
    return seal(sealer, type, 0, to, space, FRAME_HEALTH_SIZE, length);
}

enum status frame_next(struct frame *frame, struct frame_entry *entry)
{
    struct cursor *cursor = &frame->entries;
    if (cursor_ok(cursor) && cursor_left(cursor) == 0 && frame->taken == frame->count)
        return STATUS_NOT_FOUND;
    /* More entries than the header counted are as wrong as fewer. */
    if (frame->taken == frame->count)
        cursor->failed = true;
    struct frame_entry next = {.listener = cursor_u8(cursor)};
    next.flags = cursor_u8(cursor);
    next.address = address_read(cursor);
    next.length = cursor_u16(cursor);
    next.datagram = cursor_bytes(cursor, next.length);
    if (next.length > DATAGRAM_SIZE_MAX)
        cursor->failed = true;
    if (!cursor_ok(cursor))
        return STATUS_MALFORMED;
    frame->taken++;
    *entry = next;
    return STATUS_OK;
}

const char *frame_outcome_text(enum frame_outcome outcome)
{
    switch (outcome) {
    case FRAME_ACCEPTED:
        return "accepted";
    case FRAME_MALFORMED:
        return "malformed";
    case FRAME_UNKNOWN_VERSION:
        return "unknown_version";
    case FRAME_BAD_TAG:
        return "bad_tag";
    case FRAME_REPLAYED:
        return "replayed";
    case FRAME_OLD_BOOT:
        return "old_boot";
    case FRAME_NOT_FOR_US:
        return "not_for_us";
    case FRAME_OUTCOMES:
        break;
    }
    return "unknown";
}
