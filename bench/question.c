#include "bench/question.h"

#include <string.h>

#define VERSION 1
#define OPTION_OBSERVE 6
#define OPTION_PATH 11 /* Uri-Path */
#define MARKER 0xff
#define NIBBLE_ONE 13 /* one octet follows: value - 13 */
#define NIBBLE_TWO 14 /* two octets follow: value - 269 */
#define SEGMENT_MAX 255
#define OBSERVE_LENGTH_MAX 3 /* RFC 7641 section 2: 0-3 octets */

static void write_header(struct writer *writer, enum question_type type, uint8_t code,
                         uint16_t message_id, size_t token_length)
{
    writer_u8(writer, (uint8_t)(VERSION << 6 | (unsigned)type << 4 | token_length));
    writer_u8(writer, code);
    writer_u16(writer, message_id);
}

void question_write_empty(struct writer *writer, enum question_type type, uint16_t message_id)
{
    write_header(writer, type, 0, message_id, 0);
}

static void write_segment(struct writer *writer, unsigned delta, const char *text, size_t length)
{
    if (length > SEGMENT_MAX) { /* RFC 7252 section 5.10: Uri-Path is 0 to 255 octets */
        writer->failed = true;
        return;
    }
    if (length < NIBBLE_ONE) {
        writer_u8(writer, (uint8_t)(delta << 4 | length));
    } else {
        writer_u8(writer, (uint8_t)(delta << 4 | NIBBLE_ONE));
        writer_u8(writer, (uint8_t)(length - NIBBLE_ONE));
    }
    writer_bytes(writer, text, length);
}

/* As few octets as it takes: 0 has none (RFC 7252 section 3.2). */
static void write_observe(struct writer *writer, uint32_t value)
{
    unsigned length = value > 0xffff ? 3 : value > 0xff ? 2 : value > 0 ? 1 : 0;
    writer_u8(writer, (uint8_t)(OPTION_OBSERVE << 4 | length));
    while (length-- > 0)
        writer_u8(writer, (uint8_t)(value >> 8 * length));
}

void question_write(struct writer *writer, const struct question *question)
{
    write_header(writer, question->type, question->code, question->message_id,
                 question->token_length);
    writer_bytes(writer, question->token, question->token_length);
    if (question->has_observe)
        write_observe(writer, question->observe);
    unsigned delta = question->has_observe ? OPTION_PATH - OPTION_OBSERVE : OPTION_PATH;
    for (const char *at = question->path; at && *at;) {
        size_t length = strcspn(at, "/");
        if (length > 0) {
            write_segment(writer, delta, at, length);
            delta = 0;
        }
        at += length + (at[length] == '/');
    }
    if (question->payload_length > 0) {
        writer_u8(writer, MARKER);
        writer_bytes(writer, question->payload, question->payload_length);
    }
}

static uint32_t read_extended(struct cursor *cursor, unsigned nibble)
{
    switch (nibble) {
    case NIBBLE_ONE:
        return NIBBLE_ONE + cursor_u8(cursor);
    case NIBBLE_TWO:
        return 269u + cursor_u16(cursor);
    case 15: /* RFC 7252 section 3.1: "reserved for future use" */
        cursor->failed = true;
        return 0;
    default:
        return nibble;
    }
}

static void read_option(struct answer *answer, struct cursor *cursor, uint32_t number,
                        uint32_t length)
{
    struct cursor value = cursor_over(cursor_bytes(cursor, length), length);
    if (number != OPTION_OBSERVE || length > OBSERVE_LENGTH_MAX || !cursor_ok(cursor))
        return;
    answer->has_observe = true;
    answer->observe = 0;
    while (cursor_left(&value) > 0)
        answer->observe = answer->observe << 8 | cursor_u8(&value);
}

bool answer_read(struct answer *answer, const uint8_t *bytes, size_t length)
{
    struct cursor cursor = cursor_over(bytes, length);
    uint8_t first = cursor_u8(&cursor);
    *answer = (struct answer){.type = (enum question_type)(first >> 4 & 3)};
    answer->code = cursor_u8(&cursor);
    answer->message_id = cursor_u16(&cursor);
    answer->token_length = first & 0xf;
    if (first >> 6 != VERSION || answer->token_length > QUESTION_TOKEN_MAX)
        return false;
    answer->token = cursor_bytes(&cursor, answer->token_length);
    uint32_t number = 0;
    while (cursor_left(&cursor) > 0) {
        uint8_t head = cursor_u8(&cursor);
        if (head == MARKER) {
            answer->payload_length = cursor_left(&cursor);
            answer->payload = cursor_bytes(&cursor, answer->payload_length);
            return answer->payload_length > 0;
        }
        number += read_extended(&cursor, head >> 4);
        read_option(answer, &cursor, number, read_extended(&cursor, head & 0xf));
    }
    return cursor_ok(&cursor);
}
