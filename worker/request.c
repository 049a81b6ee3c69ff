#include "worker/request.h"

#include <string.h>

enum treatment {
    TREAT_HOST, /* one server answers for every host and port */
    TREAT_PATH,
    TREAT_QUERY,
    TREAT_ACCEPT,
    TREAT_CONTENT_FORMAT,
    TREAT_PROXY,
};

/* The options that we recognize: RFC 7252 section 5.10, table 4. All others are unrecognized,
 * conditional requests (If-Match, If-None-Match), OSCORE and blocks (Block1, Block2) among them:
 * they are critical, so that none is mistaken for what it is not. */
static const struct recognized {
    uint16_t number;
    uint16_t length_min, length_max;
    bool repeatable;
    enum treatment treatment;
} recognized[] = {
    {OPTION_URI_HOST, 1, 255, false, TREAT_HOST},
    {OPTION_URI_PORT, 0, 2, false, TREAT_HOST},
    {OPTION_URI_PATH, 0, 255, true, TREAT_PATH},
    {OPTION_CONTENT_FORMAT, 0, 2, false, TREAT_CONTENT_FORMAT},
    {OPTION_URI_QUERY, 0, 255, true, TREAT_QUERY},
    {OPTION_ACCEPT, 0, 2, false, TREAT_ACCEPT},
    {OPTION_PROXY_URI, 1, 1034, false, TREAT_PROXY},
    {OPTION_PROXY_SCHEME, 1, 255, false, TREAT_PROXY},
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
        return fits && (row->repeatable || !repeated) ? row : NULL;
    }
    return NULL;
}

static bool is_critical(uint16_t number)
{
    return number & 1; /* RFC 7252 section 5.4.6 */
}

static void extend(struct request_span *span, const struct message_option *option)
{
    if (span->count == 0)
        span->first = option;
    span->count++;
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
        case TREAT_HOST:
            break;
        case TREAT_PATH:
            extend(&request->path, option);
            break;
        case TREAT_QUERY:
            extend(&request->queries, option);
            break;
        case TREAT_ACCEPT:
            request->accept = option;
            break;
        case TREAT_CONTENT_FORMAT:
            request->content_format = option;
            break;
        case TREAT_PROXY:
            proxy = true;
            break;
        }
    }
    return proxy ? REQUEST_PROXY : REQUEST_OK;
}

bool request_path_is(const struct request *request, const char *path)
{
    for (size_t i = 0; i < request->path.count; i++) {
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
    return *path == '\0';
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
