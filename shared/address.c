#include "shared/address.h"

#include <arpa/inet.h>
#include <string.h>

/* RFC 4291 section 2.5.5.2: 80 zero bits, 16 one bits, the IPv4 address. */
static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

#define PREFIX_OCTETS_V4 (sizeof mapped_prefix + 3) /* a /24 */
#define PREFIX_OCTETS_V6 7                          /* a /56 */
#define PORT_DIGITS_MAX 5

bool address_equal(const struct address *a, const struct address *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool address_is_v4(const struct address *address)
{
    return memcmp(address->ip, mapped_prefix, sizeof mapped_prefix) == 0;
}

static void set_v4(struct address *address, const struct in_addr *v4)
{
    memcpy(address->ip, mapped_prefix, sizeof mapped_prefix);
    memcpy(address->ip + sizeof mapped_prefix, v4, sizeof *v4);
}

enum status address_from_sockaddr(struct address *address, const struct sockaddr *from,
                                  socklen_t length)
{
    /* Copied out, not cast: `from` may point into a buffer of any alignment. */
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    sa_family_t family;
    if (length < sizeof *from)
        return STATUS_UNSUPPORTED;
    memcpy(&family, (const char *)from + offsetof(struct sockaddr, sa_family), sizeof family);
    if (family == AF_INET && length >= sizeof v4) {
        memcpy(&v4, from, sizeof v4);
        set_v4(address, &v4.sin_addr);
        address->port = ntohs(v4.sin_port);
        return STATUS_OK;
    }
    if (family == AF_INET6 && length >= sizeof v6) {
        memcpy(&v6, from, sizeof v6);
        memcpy(address->ip, &v6.sin6_addr, sizeof address->ip);
        address->port = ntohs(v6.sin6_port);
        return STATUS_OK;
    }
    return STATUS_UNSUPPORTED;
}

socklen_t address_to_sockaddr(const struct address *address, int family,
                              struct sockaddr_storage *to)
{
    memset(to, 0, sizeof *to);
    if (family == AF_INET6) {
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
        memcpy(&v6.sin6_addr, address->ip, sizeof v6.sin6_addr);
        memcpy(to, &v6, sizeof v6);
        return sizeof v6;
    }
    if (family == AF_INET && address_is_v4(address)) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(address->port)};
        memcpy(&v4.sin_addr, address->ip + sizeof mapped_prefix, sizeof v4.sin_addr);
        memcpy(to, &v4, sizeof v4);
        return sizeof v4;
    }
    return 0;
}

/* Digits only: strtoul would take blanks and signs. */
static bool parse_port(uint16_t *port, const char *text)
{
    size_t digits = strlen(text);
    if (digits == 0 || digits > PORT_DIGITS_MAX || strspn(text, "0123456789") != digits)
        return false;
    uint32_t value = 0;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (uint32_t)(text[i] - '0');
    if (value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

enum status address_parse(struct address *address, const char *text)
{
    const char *colon = strrchr(text, ':');
    if (!colon)
        return STATUS_MALFORMED;
    size_t host_length = (size_t)(colon - text);
    bool bracketed = host_length >= 2 && text[0] == '[' && colon[-1] == ']';
    if (bracketed) {
        text++;
        host_length -= 2;
    }
    char host[ADDRESS_TEXT_MAX];
    if (host_length >= sizeof host)
        return STATUS_MALFORMED;
    memcpy(host, text, host_length);
    host[host_length] = '\0';

    struct address parsed;
    if (!parse_port(&parsed.port, colon + 1))
        return STATUS_MALFORMED;
    if (bracketed) {
        if (inet_pton(AF_INET6, host, parsed.ip) != 1)
            return STATUS_MALFORMED;
    } else {
        struct in_addr v4;
        if (inet_pton(AF_INET, host, &v4) != 1)
            return STATUS_MALFORMED;
        set_v4(&parsed, &v4);
    }
    *address = parsed;
    return STATUS_OK;
}

/* Where the number's text ends; at most 5 digits. printf would take longer than all else that it
 * takes to serve /tstun. */
static char *write_number(char *at, unsigned number)
{
    char digits[5];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

static char *write_ip(char *at, const struct address *address)
{
    if (!address_is_v4(address)) {
        /* It fails only where the space is short: ADDRESS_TEXT_MAX > INET6_ADDRSTRLEN. */
        inet_ntop(AF_INET6, address->ip, at, INET6_ADDRSTRLEN);
        return at + strlen(at);
    }
    const uint8_t *octets = address->ip + sizeof mapped_prefix;
    for (size_t i = 0; i < sizeof address->ip - sizeof mapped_prefix; i++) {
        if (i > 0)
            *at++ = '.';
        at = write_number(at, octets[i]);
    }
    return at;
}

const char *address_format_ip(const struct address *address, char text[ADDRESS_TEXT_MAX])
{
    *write_ip(text, address) = '\0';
    return text;
}

const char *address_format(const struct address *address, char text[ADDRESS_TEXT_MAX])
{
    bool in_brackets = !address_is_v4(address);
    char *at = text;
    if (in_brackets)
        *at++ = '[';
    at = write_ip(at, address);
    if (in_brackets)
        *at++ = ']';
    *at++ = ':';
    *write_number(at, address->port) = '\0';
    return text;
}

struct address address_prefix(const struct address *address)
{
    struct address prefix = {0};
    memcpy(prefix.ip, address->ip, address_is_v4(address) ? PREFIX_OCTETS_V4 : PREFIX_OCTETS_V6);
    return prefix;
}

void address_write(struct writer *writer, const struct address *address)
{
    writer_bytes(writer, address->ip, sizeof address->ip);
    writer_u16(writer, address->port);
}

struct address address_read(struct cursor *cursor)
{
    struct address address = {0};
    /* Both fields or none: a wire form that ends within the port is no address. */
    struct cursor wire = cursor_sub(cursor, ADDRESS_WIRE_SIZE);
    const uint8_t *ip = cursor_bytes(&wire, sizeof address.ip);
    if (ip)
        memcpy(address.ip, ip, sizeof address.ip);
    address.port = cursor_u16(&wire);
    return address;
}
