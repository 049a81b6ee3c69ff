#include "tests/worker/ask.h"

#include <criterion/criterion.h>
#include <string.h>

#define LIST_MAX 24

struct list {
    struct message_option options[LIST_MAX];
    size_t count;
};

/* Behind those of the same or a lower number. */
static void insert(struct list *list, uint16_t number, const void *value, size_t length)
{
    cr_assert_lt(list->count, LIST_MAX);
    size_t at = list->count++;
    for (; at > 0 && list->options[at - 1].number > number; at--)
        list->options[at] = list->options[at - 1];
    list->options[at] = (struct message_option){number, (uint16_t)length, value};
}

static void insert_uri(struct list *list, const char *uri)
{
    uint16_t number = OPTION_URI_PATH;
    while (*uri) {
        if (*uri == '?')
            number = OPTION_URI_QUERY;
        uri++;
        size_t length = strcspn(uri, number == OPTION_URI_PATH ? "/?" : "&");
        insert(list, number, uri, length);
        uri += length;
    }
}

size_t ask_write(const struct ask *ask, uint8_t *space, size_t size)
{
    struct list list = {.count = 0};
    const uint8_t accept[2] = {(uint8_t)(ask->accept >> 8), (uint8_t)ask->accept};
    const uint8_t format[2] = {(uint8_t)(ask->format >> 8), (uint8_t)ask->format};
    if (ask->uri)
        insert_uri(&list, ask->uri);
    if (ask->has_accept)
        insert(&list, OPTION_ACCEPT, accept, sizeof accept);
    if (ask->has_format)
        insert(&list, OPTION_CONTENT_FORMAT, format, sizeof format);
    for (size_t i = 0; i < ASK_OPTIONS_MAX && ask->options[i].number != 0; i++)
        insert(&list, ask->options[i].number, ask->options[i].value, ask->options[i].length);

    struct writer writer = writer_over(space, size);
    struct message_builder builder;
    message_begin(&builder, &writer, ask->type, ask->code ? ask->code : CODE_GET, ask->id,
                  (const uint8_t *)ask->token, ask->token ? strlen(ask->token) : 0);
    for (size_t i = 0; i < list.count; i++)
        message_add_option(&builder, list.options[i].number, list.options[i].value,
                           list.options[i].length);
    if (ask->payload)
        message_add_payload(&builder, ask->payload,
                            ask->payload_length ? ask->payload_length : strlen(ask->payload));
    cr_assert(writer_ok(&writer));
    return writer_length(&writer);
}

void ask_handler(const struct ask *ask, struct resource_call *call, resource_handler *handler,
                 struct answer *answer)
{
    uint8_t bytes[DATAGRAM_SIZE_MAX];
    struct message message;
    struct request request;
    uint16_t culprit;
    size_t length = ask_write(ask, bytes, sizeof bytes);
    cr_assert_eq(message_parse(&message, bytes, length), MESSAGE_OK);
    cr_assert_eq(request_judge(&request, &message, &culprit), REQUEST_OK);
    memset(answer, 0, sizeof *answer);
    answer->reply.payload = writer_over(answer->payload, COAP_MESSAGE_SIZE_MAX);
    answer->reply.event = writer_over(answer->event, sizeof answer->event);
    call->request = &request;
    call->body = (struct octets){message.payload, message.payload_length};
    cr_assert_eq(handler(call, &answer->reply), RESOURCE_DONE);
    call->request = NULL;
    answer->fits = writer_ok(&answer->reply.payload) && writer_ok(&answer->reply.event);
    answer->payload_length = writer_length(&answer->reply.payload);
}
