#include "tests/worker/ask.h"
#include "worker/request.h"

#include <criterion/criterion.h>
#include <string.h>

static uint8_t bytes[DATAGRAM_SIZE_MAX];
static struct message message;

static enum request_outcome judge(const struct ask *ask, struct request *request, uint16_t *culprit)
{
    cr_assert_eq(message_parse(&message, bytes, ask_write(ask, bytes, sizeof bytes)), MESSAGE_OK);
    return request_judge(request, &message, culprit);
}

static const uint8_t octets[1100] = "1234567890";

Test(request, judges_each_option)
{
    const struct {
        const char *name;
        struct message_option options[ASK_OPTIONS_MAX];
        enum request_outcome outcome;
        uint16_t culprit;
    } rows[] = {
        {"none", {{0}}, REQUEST_OK, 0},
        {"If-Match", {{1, 4, octets}}, REQUEST_OK, 0},
        {"If-Match, empty and another", {{1, 0, octets}, {1, 8, octets}}, REQUEST_OK, 0},
        {"If-Match, 9 octets", {{1, 9, octets}}, REQUEST_BAD_OPTION, 1},
        {"Uri-Host", {{3, 9, octets}}, REQUEST_OK, 0},
        {"Uri-Host, empty", {{3, 0, octets}}, REQUEST_BAD_OPTION, 3},
        {"Uri-Host, 256 octets", {{3, 256, octets}}, REQUEST_BAD_OPTION, 3},
        {"Uri-Host, twice", {{3, 1, octets}, {3, 1, octets}}, REQUEST_BAD_OPTION, 3},
        {"ETag", {{4, 4, octets}}, REQUEST_OK, 0},
        {"ETag, 9 octets: elective", {{4, 9, octets}}, REQUEST_OK, 0},
        {"If-None-Match", {{5, 0, octets}}, REQUEST_OK, 0},
        {"If-None-Match, 1 octet", {{5, 1, octets}}, REQUEST_BAD_OPTION, 5},
        {"If-None-Match, twice", {{5, 0, octets}, {5, 0, octets}}, REQUEST_BAD_OPTION, 5},
        {"Observe", {{6, 0, octets}}, REQUEST_OK, 0},
        {"Uri-Port", {{7, 2, octets}}, REQUEST_OK, 0},
        {"Uri-Port, 3 octets", {{7, 3, octets}}, REQUEST_BAD_OPTION, 7},
        {"OSCORE", {{9, 3, octets}}, REQUEST_BAD_OPTION, 9},
        {"Uri-Path, 255 octets", {{11, 255, octets}}, REQUEST_OK, 0},
        {"Uri-Path, 256 octets", {{11, 256, octets}}, REQUEST_BAD_OPTION, 11},
        {"Content-Format, 3 octets: elective", {{12, 3, octets}}, REQUEST_OK, 0},
        {"Max-Age", {{14, 1, octets}}, REQUEST_OK, 0},
        {"Uri-Query, 256 octets", {{15, 256, octets}}, REQUEST_BAD_OPTION, 15},
        /* RFC 8768 section 3: "This value MUST be between 1 and 255 inclusive." */
        {"Hop-Limit 49", {{16, 1, octets}}, REQUEST_OK, 0},
        {"Hop-Limit 255", {{16, 1, (const uint8_t *)"\xff"}}, REQUEST_OK, 0},
        {"Hop-Limit 0", {{16, 0, octets}}, REQUEST_BAD_HOP_LIMIT, 0},
        {"Hop-Limit 0 in an octet", {{16, 1, (const uint8_t *)""}}, REQUEST_BAD_HOP_LIMIT, 0},
        {"Hop-Limit 256", {{16, 2, (const uint8_t *)"\x01"}}, REQUEST_BAD_HOP_LIMIT, 0},
        /* RFC 7252 section 5.4.5: the second is as one that is not recognized, and elective. */
        {"Hop-Limit, the second 0", {{16, 1, octets}, {16, 1, (const uint8_t *)""}}, REQUEST_OK, 0},
        {"Accept", {{17, 2, octets}}, REQUEST_OK, 0},
        {"Accept, 3 octets", {{17, 3, octets}}, REQUEST_BAD_OPTION, 17},
        {"Accept, twice", {{17, 1, octets}, {17, 1, octets}}, REQUEST_BAD_OPTION, 17},
        {"Location-Query: elective", {{20, 1, octets}}, REQUEST_OK, 0},
        {"Block2", {{23, 3, octets}}, REQUEST_OK, 0},
        {"Block2, 4 octets", {{23, 4, octets}}, REQUEST_BAD_OPTION, 23},
        {"Block1", {{27, 3, octets}}, REQUEST_OK, 0},
        {"Block1, 4 octets", {{27, 4, octets}}, REQUEST_BAD_OPTION, 27},
        {"Proxy-Uri", {{35, 1034, octets}}, REQUEST_PROXY, 0},
        {"Proxy-Uri, 1035 octets", {{35, 1035, octets}}, REQUEST_BAD_OPTION, 35},
        {"Proxy-Scheme", {{39, 5, octets}}, REQUEST_PROXY, 0},
        {"Proxy-Scheme and something critical",
         {{39, 5, octets}, {41, 0, octets}},
         REQUEST_BAD_OPTION,
         41},
        {"Size1", {{60, 4, octets}}, REQUEST_OK, 0},
        {"Echo", {{252, 8, octets}}, REQUEST_OK, 0},
        {"Echo, empty: elective", {{252, 0, octets}}, REQUEST_OK, 0},
        {"No-Response", {{258, 1, octets}}, REQUEST_OK, 0},
        {"Request-Tag", {{292, 1, octets}}, REQUEST_OK, 0},
        {"unassigned, elective", {{65000, 1, octets}}, REQUEST_OK, 0},
        {"unassigned, critical", {{65001, 1, octets}}, REQUEST_BAD_OPTION, 65001},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ask ask = {0};
        struct request request;
        uint16_t culprit = 0;
        memcpy(ask.options, rows[i].options, sizeof ask.options);
        cr_expect_eq(judge(&ask, &request, &culprit), rows[i].outcome, "%s", rows[i].name);
        cr_expect_eq(culprit, rows[i].culprit, "%s", rows[i].name);
    }
}

Test(request, an_elective_option_of_bad_length_is_not_there)
{
    struct ask ask = {.options = {{OPTION_CONTENT_FORMAT, 3, octets}}};
    struct request request;
    uint16_t culprit;
    cr_assert_eq(judge(&ask, &request, &culprit), REQUEST_OK);
    cr_assert_null(request.content_format);
}

Test(request, the_first_of_two_content_formats_counts)
{
    struct ask ask = {.options = {{OPTION_CONTENT_FORMAT, 1, (const uint8_t *)"\x28"},
                                  {OPTION_CONTENT_FORMAT, 1, (const uint8_t *)"\x32"}}};
    struct request request;
    uint16_t culprit;
    cr_assert_eq(judge(&ask, &request, &culprit), REQUEST_OK);
    cr_assert_eq(message_option_number(request.content_format), FORMAT_LINK);
}

Test(request, sorts_the_options)
{
    struct ask ask = {.uri = "/a/bc?x=1&y&z=",
                      .has_accept = true,
                      .accept = 60,
                      .has_format = true,
                      .format = 50};
    struct request request;
    uint16_t culprit;
    const char *value;
    size_t length;
    cr_assert_eq(judge(&ask, &request, &culprit), REQUEST_OK);
    cr_assert_eq(request.path.count, 2);
    cr_assert_eq(request.queries.count, 3);
    cr_assert_eq(message_option_number(request.accept), 60);
    cr_assert_eq(message_option_number(request.content_format), 50);
    cr_assert(request_query_value(&request.queries.first[0], "x", &value, &length));
    cr_assert(length == 1 && *value == '1');
    cr_assert_not(request_query_value(&request.queries.first[0], "y", &value, &length));
    cr_assert_not(request_query_value(&request.queries.first[1], "y", &value, &length));
    cr_assert(request_query_value(&request.queries.first[2], "z", &value, &length));
    cr_assert_eq(length, 0);
    cr_assert_not(request_query_value(&request.queries.first[2], "zz", &value, &length));
}

Test(request, compares_paths_by_segments)
{
    static const struct {
        const char *uri;
        const char *path;
        bool same;
    } rows[] = {
        {"/tstun", "/tstun", true},
        {"/.well-known/core", "/.well-known/core", true},
        {"/tstun", "/tstu", false},
        {"/tstu", "/tstun", false},
        {"/TSTUN", "/tstun", false},
        {"/tstun/", "/tstun", false},
        {"//tstun", "/tstun", false},
        {"/tstun/a", "/tstun", false},
        {"/.well-known", "/.well-known/core", false},
        {"", "/tstun", false},
        {"/", "/tstun", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ask ask = {.uri = rows[i].uri};
        struct request request;
        struct request_span rest;
        uint16_t culprit;
        cr_assert_eq(judge(&ask, &request, &culprit), REQUEST_OK);
        cr_expect_eq(request_path_begins(&request, rows[i].path, &rest) && rest.count == 0,
                     rows[i].same, "%s", rows[i].uri);
    }
}

Test(request, a_slash_within_a_segment_is_no_separator)
{
    struct ask ask = {.options = {{OPTION_URI_PATH, 16, (const uint8_t *)".well-known/core"}}};
    struct request request;
    struct request_span rest;
    uint16_t culprit;
    cr_assert_eq(judge(&ask, &request, &culprit), REQUEST_OK);
    cr_assert_not(request_path_begins(&request, "/.well-known/core", &rest));
}

Test(request, what_is_behind_a_prefix)
{
    static const struct {
        const char *uri;
        bool begins;
        size_t count;
        const char *first;
    } rows[] = {
        {"/ps", true, 0, ""},      {"/ps/", true, 1, ""},        {"/ps/a", true, 1, "a"},
        {"/ps/b/c", true, 2, "b"}, {"/psalm/a", false, 0, NULL}, {"/p/s", false, 0, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ask ask = {.uri = rows[i].uri};
        struct request request;
        struct request_span rest = {0};
        uint16_t culprit;
        cr_assert_eq(judge(&ask, &request, &culprit), REQUEST_OK);
        cr_expect_eq(request_path_begins(&request, "/ps", &rest), rows[i].begins, "%s",
                     rows[i].uri);
        cr_expect_eq(rest.count, rows[i].count, "%s", rows[i].uri);
        if (rest.count == 0)
            continue;
        cr_expect_eq(rest.first->length, strlen(rows[i].first), "%s", rows[i].uri);
        cr_expect_arr_eq(rest.first->value, rows[i].first, rest.first->length);
    }
}

Test(request, points_to_each_option)
{
    struct ask ask = {.options = {{OPTION_IF_MATCH, 2, octets},
                                  {OPTION_IF_MATCH, 0, octets},
                                  {OPTION_ETAG, 8, octets},
                                  {OPTION_ETAG, 9, octets},
                                  {OPTION_ETAG, 1, octets},
                                  {OPTION_IF_NONE_MATCH, 0, octets},
                                  {OPTION_OBSERVE, 0, octets},
                                  {OPTION_HOP_LIMIT, 1, octets},
                                  {OPTION_SIZE2, 2, octets},
                                  {OPTION_SIZE1, 2, octets},
                                  {OPTION_ECHO, 40, octets},
                                  {OPTION_NO_RESPONSE, 1, octets},
                                  {OPTION_REQUEST_TAG, 0, octets},
                                  {OPTION_REQUEST_TAG, 8, octets}}};
    struct request request;
    uint16_t culprit;
    cr_assert_eq(judge(&ask, &request, &culprit), REQUEST_OK);
    cr_expect_eq(request.if_match.count, 2);
    cr_expect(request_span_has(&request.if_match, NULL, 0));
    cr_expect(request_span_has(&request.if_match, octets, 2));
    cr_expect_not(request_span_has(&request.if_match, octets, 1));
    cr_expect(request_span_has(&request.etags, octets, 8));
    cr_expect(request_span_has(&request.etags, octets, 1), "behind one that is ignored");
    cr_expect_not(request_span_has(&request.etags, octets, 2));
    cr_expect_eq(request.if_none_match->number, OPTION_IF_NONE_MATCH);
    cr_expect_eq(request.observe->number, OPTION_OBSERVE);
    cr_expect_eq(request.hop_limit->number, OPTION_HOP_LIMIT);
    cr_expect_eq(request.size1->number, OPTION_SIZE1);
    cr_expect_eq(request.size2->number, OPTION_SIZE2);
    cr_expect_eq(request.echo->length, 40);
    cr_expect_eq(request.no_response->number, OPTION_NO_RESPONSE);
    cr_expect_eq(request.request_tags.count, 2);
    cr_expect_null(request.accept);
    cr_expect_null(request.block1);
}

/* RFC 7967 section 2: "2: Not interested in 2.xx responses", 8 and 16 likewise for 4.xx and 5.xx.
 */
Test(request, declines_classes_of_responses)
{
    static const struct {
        const char *value;
        uint16_t length;
        bool success, client_error, server_error;
    } rows[] = {
        {"", 0, false, false, false},    {"\x02", 1, true, false, false},
        {"\x08", 1, false, true, false}, {"\x10", 1, false, false, true},
        {"\x1a", 1, true, true, true},   {"\xe5", 1, false, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ask ask = {
            .options = {{OPTION_NO_RESPONSE, rows[i].length, (const uint8_t *)rows[i].value}}};
        struct request request;
        uint16_t culprit;
        cr_assert_eq(judge(&ask, &request, &culprit), REQUEST_OK);
        cr_expect_eq(request_declines(&request, CODE_CHANGED), rows[i].success, "row %zu", i);
        cr_expect_eq(request_declines(&request, CODE_NOT_FOUND), rows[i].client_error, "row %zu",
                     i);
        cr_expect_eq(request_declines(&request, CODE_UNAVAILABLE), rows[i].server_error, "row %zu",
                     i);
    }
}
