#include "worker/request.h"

#include <stddef.h>
#include <string.h>

enum treatment {
    TREAT_IGNORE, /* one server answers for every host and port */
    TREAT_ONE,    /* `member` of struct request points to the first */
    TREAT_ALL,    /* repeatable: `member` is a span */
    TREAT_PROXY,
};

#define ONE(member) TREAT_ONE, offsetof(struct request, member)
#define ALL(member) TREAT_ALL, offsetof(struct request, member)

/* The options that we recognize in requests: RFC 7252 section 5.10, table 4, and what has been
 * added to it. All others are unrecognized, OSCORE among them: it is critical, so that a message
 * under OSCORE is not mistaken for what it is not. */
static const struct recognized {
    uint16_t number;
    uint16_t length_min, length_max;
    enum treatment treatment;
    size_t member;
} recognized[] = {
    {OPTION_IF_MATCH, 0, MESSAGE_ETAG_MAX, ALL(if_match)},
    {OPTION_URI_HOST, 1, 255, TREAT_IGNORE, 0},
    {OPTION_ETAG, 1, MESSAGE_ETAG_MAX, ALL(etags)},
    {OPTION_IF_NONE_MATCH, 0, 0, ONE(if_none_match)},
    {OPTION_OBSERVE, 0, 3, ONE(observe)}, /* RFC 7641 section 2 */
    {OPTION_URI_PORT, 0, 2, TREAT_IGNORE, 0},
    {OPTION_URI_PATH, 0, 255, ALL(path)},
    {OPTION_CONTENT_FORMAT, 0, 2, ONE(content_format)},
    {OPTION_URI_QUERY, 0, 255, ALL(queries)},
    /* Of any length: its own RFC says what becomes of a value that takes more than one octet. */
    {OPTION_HOP_LIMIT, 0, 4, ONE(hop_limit)},
    {OPTION_ACCEPT, 0, 2, ONE(accept)},
    {OPTION_BLOCK2, 0, 3, ONE(block2)}, /* RFC 7959 section 2.1 */
    {OPTION_BLOCK1, 0, 3, ONE(block1)},
    {OPTION_SIZE2, 0, 4, ONE(size2)}, /* RFC 7959 section 4 */
    {OPTION_PROXY_URI, 1, 1034, TREAT_PROXY, 0},
    {OPTION_PROXY_SCHEME, 1, 255, TREAT_PROXY, 0},
    {OPTION_SIZE1, 0, 4, ONE(size1)},
    {OPTION_ECHO, 1, MESSAGE_ECHO_MAX, ONE(echo)}, /* RFC 9175 section 2.2.1 */
    {OPTION_NO_RESPONSE, 0, 1, ONE(no_response)},  /* RFC 7967 section 2 */
    {OPTION_REQUEST_TAG, 0, 8, ALL(request_tags)}, /* RFC 9175 section 3.2.1 */
};

/* NULL: "unrecognized". */
static const struct recognized *recognize(const struct message_option *option, bool repeated)
{
    for (size_t i = 0; i < sizeof recognized / sizeof *recognized; i++) {
        const struct recognized *row = &recognized[i];
        if (row->number != option->number)
            continue;
        /* "If the length of an option value in a request is outside the defined range, that option
         * MUST be treated like an unrecognized option" (RFC 7252 section 5.4.3) */
        bool fits = option->length >= row->length_min && option->length <= row->length_max;
        /* "each supernumerary option occurrence that appears subsequently in the message MUST be
         * treated like an unrecognized option" (RFC 7252 section 5.4.5) */
        return fits && (row->treatment == TREAT_ALL || !repeated) ? row : NULL;
    }
    return NULL;
}

static bool is_critical(uint16_t number)
{
    return number & 1; /* RFC 7252 section 5.4.6 */
}

/* Puts the option where its row says. The member is found by its offset in the table. */
static void keep(struct request *request, const struct recognized *row,
                 const struct message_option *option)
{
    void *member = (uint8_t *)request + row->member;
    if (row->treatment == TREAT_ONE) {
        *(const struct message_option **)member = option;
        return;
    }
    struct request_span *span = member;
    if (span->count == 0)
        span->first = option;
    /* An elective one between them that is to be ignored is in it, and equals none of ours. */
    span->count = (size_t)(option - span->first) + 1;
}

/* "This value MUST be between 1 and 255 inclusive." (RFC 8768 section 3) */
static bool has_hops_left(const struct request *request)
{
    if (!request->hop_limit)
        return true;
    uint32_t hops = message_option_number(request->hop_limit);
    return hops >= 1 && hops <= 255;
}

enum request_outcome request_judge(struct request *request, const struct message *message,
                                   uint16_t *culprit)
{
    bool proxy = false;
    *request = (struct request){.message = message};
    for (size_t i = 0; i < message->option_count; i++) {
        const struct message_option *option = &message->options[i];
        bool repeated = i > 0 && option[-1].number == option->number;
        const struct recognized *row = recognize(option, repeated);
        if (!row) {
            /* "Upon reception, unrecognized options of class "elective" MUST be silently ignored."
             * (RFC 7252 section 5.4.1) */
            if (!is_critical(option->number))
                continue;
            *culprit = option->number;
            return REQUEST_BAD_OPTION;
        }
        switch (row->treatment) {
        case TREAT_IGNORE:
            break;
        case TREAT_ONE:
        case TREAT_ALL:
            keep(request, row, option);
            break;
        case TREAT_PROXY:
            proxy = true;
            break;
        }
    }
    if (proxy)
        return REQUEST_PROXY;
    return has_hops_left(request) ? REQUEST_OK : REQUEST_BAD_HOP_LIMIT;
}

bool request_path_begins(const struct request *request, const char *path, struct request_span *rest)
{
    size_t i;
    for (i = 0; i < request->path.count && *path != '\0'; i++) {
        const struct message_option *segment = &request->path.first[i];
        if (*path != '/')
            return false;
        path++;
        /* A slash inside an option is data, not a separator: lengths have to agree. */
        size_t length = strcspn(path, "/");
        if (length != segment->length || memcmp(path, segment->value, length) != 0)
            return false;
        path += length;
    }
    if (*path != '\0')
        return false;
    *rest = (struct request_span){request->path.first + i, request->path.count - i};
    return true;
}

bool request_span_has(const struct request_span *span, const uint8_t *octets, size_t length)
{
    for (size_t i = 0; i < span->count; i++) {
        const struct message_option *option = &span->first[i];
        if (option->length == length && (length == 0 || memcmp(option->value, octets, length) == 0))
            return true;
    }
    return false;
}

bool request_declines(const struct request *request, uint8_t code)
{
    /* "The server MUST send back responses of the classes for which the client has not expressed
     * any disinterest." (RFC 7967 section 2.1) The bit for a class c.xx is 2^(c-1). */
    unsigned class = MESSAGE_CODE_CLASS(code);
    return request->no_response && class > 0 &&
           (message_option_number(request->no_response) >> (class - 1) & 1) != 0;
}

bool request_query_value(const struct message_option *query, const char *name, const char **value,
                         size_t *value_length)
{
    size_t length = strlen(name);
    if (query->length <= length || memcmp(query->value, name, length) != 0 ||
        query->value[length] != '=')
        return false;
    *value = (const char *)query->value + length + 1;
    *value_length = query->length - length - 1;
    return true;
}
