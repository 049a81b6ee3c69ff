#include "shared/redis_url.h"

#include "shared/keys.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PORT_DEFAULT 6379
#define SENTINEL_PORT_DEFAULT 26379
#define DATABASES_MAX 65535

/* A part of the URL's text. */
struct span {
    const char *at;
    size_t length;
};

enum form { FORM_HOSTS, FORM_PATH };

static const struct scheme {
    const char *name;
    enum redis_kind kind;
    enum form form;
    bool tls;
} schemes[] = {
    {"redis://", REDIS_SINGLE, FORM_HOSTS, false},
    {"rediss://", REDIS_SINGLE, FORM_HOSTS, true},
    {"redis+unix://", REDIS_SINGLE, FORM_PATH, false},
    {"redis+sentinel://", REDIS_SENTINEL, FORM_HOSTS, false},
    {"rediss+sentinel://", REDIS_SENTINEL, FORM_HOSTS, true},
    {"redis+cluster://", REDIS_CLUSTER, FORM_HOSTS, false},
    {"rediss+cluster://", REDIS_CLUSTER, FORM_HOSTS, true},
};
#define SCHEMES (sizeof schemes / sizeof schemes[0])

static const struct scheme *find_scheme(const char *text)
{
    for (size_t i = 0; i < SCHEMES; i++) {
        if (strncmp(text, schemes[i].name, strlen(schemes[i].name)) == 0)
            return &schemes[i];
    }
    return NULL;
}

bool redis_url_is_redis(const char *text)
{
    return find_scheme(text) != NULL;
}

/* What stands before the first `separator`, which is taken out of *rest with it. False: there is
 * none, all is taken. */
static bool cut(struct span *rest, char separator, struct span *first)
{
    const char *found = rest->length > 0 ? memchr(rest->at, separator, rest->length) : NULL;
    *first = *rest;
    if (!found) {
        *rest = (struct span){.at = rest->at + rest->length};
        return false;
    }
    first->length = (size_t)(found - rest->at);
    *rest = (struct span){.at = found + 1, .length = rest->length - first->length - 1};
    return true;
}

static int hex_digit(char letter)
{
    if (letter >= '0' && letter <= '9')
        return letter - '0';
    int lower = tolower((unsigned char)letter);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static enum status decode(struct span from, char *to, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; i < from.length; i++) {
        int octet = (unsigned char)from.at[i];
        if (from.at[i] == '%') {
            if (from.length - i < 3)
                return STATUS_MALFORMED;
            int high = hex_digit(from.at[i + 1]), low = hex_digit(from.at[i + 2]);
            if (high < 0 || low < 0)
                return STATUS_MALFORMED;
            octet = high << 4 | low;
            i += 2;
        }
        if (octet == 0)
            return STATUS_MALFORMED; /* the rest would be lost in a C string */
        if (length + 1 >= size)
            return STATUS_TOO_LONG;
        to[length++] = (char)octet;
    }
    to[length] = '\0';
    return STATUS_OK;
}

static enum status parse_number(struct span text, unsigned max, unsigned *number)
{
    unsigned value = 0;
    if (text.length == 0 || text.length > 5)
        return STATUS_MALFORMED;
    for (size_t i = 0; i < text.length; i++) {
        if (!isdigit((unsigned char)text.at[i]))
            return STATUS_MALFORMED;
        value = value * 10 + (unsigned)(text.at[i] - '0');
    }
    if (value > max)
        return STATUS_MALFORMED;
    *number = value;
    return STATUS_OK;
}

static bool is_host_letter(char letter)
{
    return isalnum((unsigned char)letter) || strchr("-._:%", letter);
}

/* "name", "name:port", "[v6]", "[v6]:port". */
static enum status parse_host(struct span text, uint16_t port_default, struct redis_host *host)
{
    struct span name, port = {0};
    bool has_port;
    if (text.length > 0 && text.at[0] == '[') {
        struct span rest = {.at = text.at + 1, .length = text.length - 1};
        if (!cut(&rest, ']', &name))
            return STATUS_MALFORMED;
        has_port = rest.length > 0;
        if (has_port && rest.at[0] != ':')
            return STATUS_MALFORMED;
        if (has_port)
            port = (struct span){.at = rest.at + 1, .length = rest.length - 1};
    } else {
        port = text;
        has_port = cut(&port, ':', &name);
    }
    unsigned number = port_default;
    if (name.length == 0 || name.length > REDIS_HOST_LENGTH_MAX)
        return STATUS_MALFORMED;
    for (size_t i = 0; i < name.length; i++) {
        if (name.at[i] == '\0' || !is_host_letter(name.at[i]))
            return STATUS_MALFORMED;
    }
    if (has_port && (parse_number(port, 65535, &number) != STATUS_OK || number == 0))
        return STATUS_MALFORMED;
    memcpy(host->name, name.at, name.length);
    host->name[name.length] = '\0';
    host->port = (uint16_t)number;
    return STATUS_OK;
}

enum status redis_host_parse(struct redis_host *host, const char *text, size_t length)
{
    struct span all = {.at = text, .length = length};
    const char *last = length > 0 ? memrchr(text, ':', length) : NULL;
    if (!last || last == text)
        return STATUS_MALFORMED;
    if (text[0] == '[') {
        enum status status = parse_host(all, 0, host);
        return status == STATUS_OK && host->port == 0 ? STATUS_MALFORMED : status;
    }
    /* A cluster spells [::1]:7000 as ::1:7000; its port is what follows the last colon. */
    struct span port = {.at = last + 1, .length = (size_t)(text + length - last - 1)};
    unsigned number;
    if (parse_number(port, 65535, &number) != STATUS_OK || number == 0 ||
        (size_t)(last - text) > REDIS_HOST_LENGTH_MAX)
        return STATUS_MALFORMED;
    for (const char *at = text; at < last; at++) {
        if (*at == '\0' || !is_host_letter(*at))
            return STATUS_MALFORMED;
    }
    memcpy(host->name, text, (size_t)(last - text));
    host->name[last - text] = '\0';
    host->port = (uint16_t)number;
    return STATUS_OK;
}

const char *redis_host_format(const struct redis_host *host, char text[REDIS_HOST_TEXT_MAX])
{
    if (host->port == 0)
        (void)snprintf(text, REDIS_HOST_TEXT_MAX, "%s", host->name);
    else
        (void)snprintf(text, REDIS_HOST_TEXT_MAX, strchr(host->name, ':') ? "[%s]:%u" : "%s:%u",
                       host->name, host->port);
    return text;
}

bool redis_host_equal(const struct redis_host *a, const struct redis_host *b)
{
    return a->port == b->port && strcmp(a->name, b->name) == 0;
}

/* --- the parts of a URL; each says in `why` what would be right --- */

struct parse {
    struct redis_url *url;
    char *why;
    size_t why_size;
};

static enum status refuse(const struct parse *parse, const char *why)
{
    (void)snprintf(parse->why, parse->why_size, "%s", why);
    return STATUS_MALFORMED;
}

static enum status parse_userinfo(const struct parse *parse, struct span text)
{
    struct span user;
    if (!cut(&text, ':', &user))
        return refuse(parse, "want USER:PASSWORD@ or :PASSWORD@ before the host");
    if (decode(user, parse->url->user, sizeof parse->url->user) != STATUS_OK ||
        decode(text, parse->url->password, sizeof parse->url->password) != STATUS_OK)
        return refuse(parse, "want user and password of at most 255 octets, with %XX for what is "
                             "not a letter or digit");
    if (parse->url->password[0] == '\0')
        return refuse(parse, "want a password behind the colon, or neither user nor password");
    return STATUS_OK;
}

static enum status parse_hosts(const struct parse *parse, struct span text)
{
    struct redis_url *url = parse->url;
    uint16_t port = url->kind == REDIS_SENTINEL ? SENTINEL_PORT_DEFAULT : PORT_DEFAULT;
    struct span one;
    bool more;
    do {
        more = cut(&text, ',', &one);
        if (url->host_count == REDIS_HOSTS_MAX)
            return refuse(parse, "want at most 8 hosts");
        if (parse_host(one, port, &url->hosts[url->host_count]) != STATUS_OK)
            return refuse(parse, "want HOST[:PORT], an IPv6 address in brackets");
        url->host_count++;
    } while (more);
    if (url->kind == REDIS_SINGLE && url->host_count > 1)
        return refuse(parse, "several hosts want redis+sentinel:// or redis+cluster://");
    return STATUS_OK;
}
_Static_assert(REDIS_HOSTS_MAX == 8 && REDIS_TEXT_MAX == 255, "the advice names the bounds");

static enum status parse_database(const struct parse *parse, struct span text)
{
    if (parse_number(text, DATABASES_MAX, &parse->url->database) != STATUS_OK)
        return refuse(parse, "want the number of a database, such as 0");
    if (parse->url->kind == REDIS_CLUSTER && parse->url->database != 0)
        return refuse(parse, "a cluster has database 0 only");
    return STATUS_OK;
}

/* What follows the hosts' slash: DB, MASTER, MASTER/DB. */
static enum status parse_path(const struct parse *parse, struct span text)
{
    struct redis_url *url = parse->url;
    if (url->kind == REDIS_SENTINEL) {
        struct span name;
        (void)cut(&text, '/', &name);
        if (decode(name, url->master, sizeof url->master) != STATUS_OK || url->master[0] == '\0')
            return refuse(parse, "want the master's name: redis+sentinel://HOST,HOST/MASTER");
    }
    return text.length > 0 ? parse_database(parse, text) : STATUS_OK;
}

static enum status parse_socket(const struct parse *parse, struct span text)
{
    struct redis_host *host = &parse->url->hosts[0];
    if (text.length == 0 || text.at[0] != '/' ||
        decode(text, host->name, sizeof host->name) != STATUS_OK || strlen(host->name) > 107)
        return refuse(parse, "want redis+unix:///PATH, of at most 107 octets");
    host->port = 0;
    parse->url->host_count = 1;
    return STATUS_OK;
}

static bool is_prefix(const char *text)
{
    for (const char *at = text; *at; at++) {
        if (!isalnum((unsigned char)*at) && !strchr("-_.", *at))
            return false;
    }
    return text[0] != '\0';
}

static bool is_named(struct span name, const char *wanted)
{
    return name.length == strlen(wanted) && memcmp(name.at, wanted, name.length) == 0;
}

static enum status parse_count(const struct parse *parse, struct span text, unsigned max,
                               unsigned *count, const char *advice)
{
    if (parse_number(text, max, count) != STATUS_OK || *count == 0)
        return refuse(parse, advice);
    return STATUS_OK;
}
_Static_assert(REDIS_WAIT_REPLICAS_MAX == 16 && REDIS_WAIT_MAX_MS == 1500,
               "the advice names the bounds");

static enum status parse_parameter(const struct parse *parse, struct span text)
{
    struct redis_url *url = parse->url;
    const struct {
        const char *name;
        char *target;
        size_t size;
    } rows[] = {
        {"password_file", url->password_file, sizeof url->password_file},
        {"sentinel_password_file", url->sentinel_password_file, sizeof url->sentinel_password_file},
        {"prefix", url->prefix, sizeof url->prefix},
        {"ca", url->ca, sizeof url->ca},
        {"cert", url->cert, sizeof url->cert},
        {"key", url->key, sizeof url->key},
        {"sni", url->sni, sizeof url->sni},
    };
    struct span name;
    (void)cut(&text, '=', &name);
    if (is_named(name, "db"))
        return parse_database(parse, text);
    if (is_named(name, "wait"))
        return parse_count(parse, text, REDIS_WAIT_REPLICAS_MAX, &url->wait_replicas,
                           "want wait=N, 1 to 16 replicas");
    if (is_named(name, "wait_ms"))
        return parse_count(parse, text, REDIS_WAIT_MAX_MS, &url->wait_ms,
                           "want wait_ms=M, 1 to 1500 milliseconds");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!is_named(name, rows[i].name))
            continue;
        if (decode(text, rows[i].target, rows[i].size) == STATUS_OK && rows[i].target[0] != '\0')
            return STATUS_OK;
        (void)snprintf(parse->why, parse->why_size, "want %s=VALUE of at most %zu octets",
                       rows[i].name, rows[i].size - 1);
        return STATUS_MALFORMED;
    }
    return refuse(parse, "parameters are db, prefix, password_file, "
                         "sentinel_password_file, ca, cert, key, sni, wait, wait_ms");
}

static enum status check(const struct parse *parse)
{
    const struct redis_url *url = parse->url;
    if (!is_prefix(url->prefix))
        return refuse(parse, "want a prefix of letters, digits, '-', '_' and '.'");
    if ((url->cert[0] != '\0') != (url->key[0] != '\0'))
        return refuse(parse, "want both cert=FILE and key=FILE");
    if (!url->tls && (url->ca[0] || url->cert[0] || url->sni[0]))
        return refuse(parse, "ca, cert, key and sni want rediss://");
    if (url->wait_ms > 0 && url->wait_replicas == 0)
        return refuse(parse, "wait_ms wants wait=N");
    if (url->password[0] && url->password_file[0])
        return refuse(parse, "want the password either in the URL or in a file");
    return STATUS_OK;
}

enum status redis_url_parse(struct redis_url *url, const char *text, char *why, size_t why_size)
{
    enum status status;
    const struct scheme *scheme = find_scheme(text);
    struct parse parse = {.url = url, .why = why, .why_size = why_size};
    memset(url, 0, sizeof *url);
    if (!scheme)
        return refuse(&parse, "want redis://, rediss://, redis+unix://, redis+sentinel:// or "
                              "redis+cluster://");
    url->kind = scheme->kind;
    url->tls = scheme->tls;
    memcpy(url->prefix, "hf", sizeof "hf");

    const char *start = text + strlen(scheme->name);
    struct span parameters = {.at = start, .length = strlen(start)};
    struct span path, authority, one;
    bool more = cut(&parameters, '?', &path);
    if (scheme->form == FORM_PATH) {
        status = parse_socket(&parse, path);
    } else {
        (void)cut(&path, '/', &authority);
        /* A password may hold '@' if someone forgot to encode it: the last one counts. */
        const char *at = authority.length > 0 ? memrchr(authority.at, '@', authority.length) : NULL;
        struct span hosts = authority;
        status = STATUS_OK;
        if (at) {
            size_t before = (size_t)(at - authority.at);
            status = parse_userinfo(&parse, (struct span){.at = authority.at, .length = before});
            hosts = (struct span){.at = at + 1, .length = authority.length - before - 1};
        }
        if (status == STATUS_OK)
            status = parse_hosts(&parse, hosts);
        if (status == STATUS_OK)
            status = parse_path(&parse, path);
    }
    while (status == STATUS_OK && more) {
        more = cut(&parameters, '&', &one);
        status = parse_parameter(&parse, one);
    }
    if (status == STATUS_OK)
        status = check(&parse);
    if (url->wait_replicas > 0 && url->wait_ms == 0)
        url->wait_ms = REDIS_WAIT_MS;
    if (status != STATUS_OK)
        keys_wipe(url, sizeof *url);
    return status;
}

static enum status read_password(const char *path, char *password, size_t size, char *why,
                                 size_t why_size)
{
    enum status status = STATUS_OK;
    char line[REDIS_TEXT_MAX + 3]; /* with CR, line feed and NUL */
    FILE *file = fopen(path, "re");
    if (!file) {
        (void)snprintf(why, why_size, "cannot read %s: %s", path, strerror(errno));
        return STATUS_SYSTEM;
    }
    char buffer[512];
    (void)setvbuf(file, buffer, _IOFBF, sizeof buffer);
    if (!fgets(line, sizeof line, file))
        line[0] = '\0';
    size_t length = strcspn(line, "\r\n");
    if (length == 0 || length >= size) {
        (void)snprintf(why, why_size, "%s: want a password of 1 to %zu octets in the first line",
                       path, size - 1);
        status = STATUS_MALFORMED;
    } else {
        memcpy(password, line, length);
        password[length] = '\0';
    }
    (void)fclose(file);
    keys_wipe(buffer, sizeof buffer);
    keys_wipe(line, sizeof line);
    return status;
}

enum status redis_url_read_passwords(struct redis_url *url, char *why, size_t why_size)
{
    enum status status = STATUS_OK;
    if (url->password_file[0])
        status =
            read_password(url->password_file, url->password, sizeof url->password, why, why_size);
    if (status == STATUS_OK && url->sentinel_password_file[0])
        status = read_password(url->sentinel_password_file, url->sentinel_password,
                               sizeof url->sentinel_password, why, why_size);
    return status;
}
