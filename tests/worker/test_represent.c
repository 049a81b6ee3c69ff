#include "worker/message.h"
#include "worker/represent.h"

#include <cbor.h>
#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

static const uint8_t octets[] = {0x00, 0xff, 0x80};

static const struct represent_field fields[] = {
    {"text", REPRESENT_TEXT, .text = "plain \"quoted\" back\\slash \xc3\xa9"},
    {"printable", REPRESENT_OCTETS, .bytes = (const uint8_t *)"dev\"1", .length = 5},
    {"octets", REPRESENT_OCTETS, .bytes = octets, .length = 3},
    {"hex", REPRESENT_HEX, .bytes = (const uint8_t *)"AZ", .length = 2},
    {"nothing", REPRESENT_OCTETS, .bytes = octets, .length = 0},
    {"zero", REPRESENT_NUMBER, .number = 0},
    {"number", REPRESENT_NUMBER, .number = UINT64_MAX},
    {"port", REPRESENT_NUMBER, .number = 4711},
};
#define FIELDS (sizeof fields / sizeof *fields)

static size_t represent(uint16_t format, uint8_t space[512], size_t size)
{
    struct writer writer = writer_over(space, size);
    represent_map(&writer, format, fields, FIELDS);
    return writer_ok(&writer) ? writer_length(&writer) : 0;
}

Test(represent, writes_text)
{
    uint8_t space[512] = {0};
    size_t length = represent(FORMAT_TEXT, space, sizeof space);
    static const char expected[] = "text=plain \"quoted\" back\\slash \xc3\xa9\n"
                                   "printable=dev\"1\n"
                                   "octets=00ff80\n"
                                   "hex=415a\n"
                                   "nothing=\n"
                                   "zero=0\n"
                                   "number=18446744073709551615\n"
                                   "port=4711\n";
    cr_assert_eq(length, sizeof expected - 1);
    cr_assert_str_eq((char *)space, expected);
}

Test(represent, writes_json)
{
    uint8_t space[512] = {0};
    size_t length = represent(FORMAT_JSON, space, sizeof space);
    static const char expected[] =
        "{\"text\":\"plain \\\"quoted\\\" back\\\\slash \xc3\xa9\",\"printable\":\"dev\\\"1\","
        "\"octets\":\"00ff80\",\"hex\":\"415a\",\"nothing\":\"\",\"zero\":0,"
        "\"number\":18446744073709551615,\"port\":4711}";
    cr_assert_eq(length, sizeof expected - 1);
    cr_assert_str_eq((char *)space, expected);
}

Test(represent, writes_json_that_jansson_reads)
{
    static const struct represent_field some[] = {
        {"text", REPRESENT_TEXT, .text = "\"\\\"\\ \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"hex", REPRESENT_HEX, .bytes = octets, .length = 3},
        {"number", REPRESENT_NUMBER, .number = INT64_MAX},
    };
    uint8_t space[512];
    struct writer writer = writer_over(space, sizeof space);
    represent_map(&writer, FORMAT_JSON, some, 3);
    json_error_t error;
    json_t *map = json_loadb((char *)space, writer_length(&writer), JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(map, "%s", error.text);
    cr_assert_eq(json_object_size(map), 3);
    cr_assert_str_eq(json_string_value(json_object_get(map, "text")), some[0].text);
    cr_assert_str_eq(json_string_value(json_object_get(map, "hex")), "00ff80");
    cr_assert_eq(json_integer_value(json_object_get(map, "number")), INT64_MAX);
    json_decref(map);
}

Test(represent, writes_cbor_that_libcbor_reads)
{
    uint8_t space[512];
    size_t length = represent(FORMAT_CBOR, space, sizeof space);
    struct cbor_load_result result;
    cbor_item_t *map = cbor_load(space, length, &result);
    cr_assert_eq(result.error.code, CBOR_ERR_NONE);
    cr_assert_eq(result.read, length);
    cr_assert(cbor_isa_map(map) && cbor_map_is_definite(map));
    cr_assert_eq(cbor_map_size(map), FIELDS);
    struct cbor_pair *pairs = cbor_map_handle(map);
    for (size_t i = 0; i < FIELDS; i++) {
        cr_assert(cbor_isa_string(pairs[i].key));
        cr_assert_eq(cbor_string_length(pairs[i].key), strlen(fields[i].key));
        cr_assert_eq(memcmp(cbor_string_handle(pairs[i].key), fields[i].key, strlen(fields[i].key)),
                     0);
    }
    cr_assert(cbor_isa_string(pairs[0].value));
    cr_assert_eq(memcmp(cbor_string_handle(pairs[0].value), fields[0].text, 10), 0);
    cr_assert(cbor_isa_string(pairs[1].value));
    cr_assert(cbor_isa_bytestring(pairs[2].value));
    cr_assert_eq(memcmp(cbor_bytestring_handle(pairs[2].value), octets, 3), 0);
    cr_assert(cbor_isa_bytestring(pairs[3].value), "printable or not");
    cr_assert_eq(cbor_string_length(pairs[4].value), 0);
    cr_assert_eq(cbor_get_int(pairs[5].value), 0);
    cr_assert_eq(cbor_get_int(pairs[6].value), UINT64_MAX);
    cr_assert_eq(cbor_get_int(pairs[7].value), 4711);
    cbor_decref(&map);
}

Test(represent, fails_in_any_space_too_small)
{
    static const uint16_t formats[] = {FORMAT_TEXT, FORMAT_JSON, FORMAT_CBOR};
    for (size_t i = 0; i < 3; i++) {
        uint8_t space[512];
        size_t whole = represent(formats[i], space, sizeof space);
        cr_assert_gt(whole, 0);
        for (size_t size = 0; size < whole; size++) {
            memset(space, 0xaa, sizeof space);
            cr_expect_eq(represent(formats[i], space, size), 0, "%u in %zu", formats[i], size);
            cr_expect_eq(space[size], 0xaa, "%u in %zu", formats[i], size);
        }
        cr_expect_eq(represent(formats[i], space, whole), whole);
    }
}

Test(represent, knows_what_is_printable)
{
    static const struct {
        const char *bytes;
        bool printable;
    } rows[] = {
        {"", true},
        {"sensor-7 @ \"home\" ~", true},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", true},
        {"\xc2\xa0", true},         /* U+00A0 */
        {"\xf4\x8f\xbf\xbf", true}, /* U+10FFFF */
        {"\x1f", false},            /* C0 */
        {"a\nb", false},
        {"\x7f", false},     /* DEL */
        {"\xc2\x85", false}, /* C1 */
        {"\x80", false},     /* a continuation alone */
        {"\xc3", false},     /* truncated */
        {"\xe2\x82", false},
        {"\xf0\x9f\x98", false},
        {"\xc3(", false},            /* no continuation */
        {"\xc1\xa1", false},         /* overlong 'a' */
        {"\xe0\x80\xaf", false},     /* overlong '/' */
        {"\xf0\x82\x82\xac", false}, /* overlong */
        {"\xed\xa0\x80", false},     /* a surrogate */
        {"\xf4\x90\x80\x80", false}, /* past U+10FFFF */
        {"\xf5\x80\x80\x80", false},
        {"\xff", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(represent_is_printable((const uint8_t *)rows[i].bytes, strlen(rows[i].bytes)),
                     rows[i].printable, "row %zu", i);
    cr_expect_not(represent_is_printable((const uint8_t *)"a\0b", 3));
}
