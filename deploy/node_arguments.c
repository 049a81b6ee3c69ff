#include "deploy/node.h"

#include <string.h>

#define ANY_LOOPBACK "127.0.0.1:0"

static void add_address(struct arguments *arguments, const char *option,
                        const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    arguments_add(arguments, "%s", option);
    arguments_add(arguments, "%s", address_format(address, text));
}

static void add_common(struct arguments *arguments, const struct node *node)
{
    const struct up_options *options = node->options;
    arguments_add(arguments, "--cluster-key-file");
    arguments_add(arguments, "%s", node->key_file);
    arguments_add(arguments, "--http");
    arguments_add(arguments, ANY_LOOPBACK);
    arguments_add(arguments, "--io");
    arguments_add(arguments, "%s", up_io_names[options->io]);
    arguments_add(arguments, "--log");
    arguments_add(arguments, "%s", up_log_names[options->log]);
}

static bool has_store(const struct node *node)
{
    return node->store_url[0] != '\0' || node->store_file[0] != '\0';
}

static void add_store(struct arguments *arguments, const struct node *node)
{
    bool is_secret = node->store_file[0] != '\0';
    arguments_add(arguments, "%s", is_secret ? "--config" : "--store");
    arguments_add(arguments, "%s", is_secret ? node->store_file : node->store_url);
}

static void worker_arguments(const struct node *node, size_t number, struct arguments *arguments)
{
    const struct child *worker = &node->children[number - 1];
    struct address link = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
    /* The lb knows a worker by its address, so a worker that comes back comes back there; and by
     * that it shows the store that its former life is over. */
    if (worker->was_ready)
        link = worker->ready.link;
    arguments_add(arguments, "%s/holdfast-worker", node->programs);
    arguments_add(arguments, "--id");
    arguments_add(arguments, "%zu", number);
    add_address(arguments, "--link", &link);
    add_common(arguments, node);
    if (has_store(node))
        add_store(arguments, node);
    arguments_add(arguments, "--cid-length");
    arguments_add(arguments, "%llu", (unsigned long long)node->options->cid_length);
    if (node->options->plugtest)
        arguments_add(arguments, "--plugtest");
    arguments_add(arguments, "--psk-file");
    arguments_add(arguments, "/proc/self/fd/%d", node->options->psks.descriptor);
}

/* The port that an ephemeral one turned out to be is kept: devices know it by now. */
static const struct address *listener(const struct child *lb, const struct address *wanted,
                                      const struct address *told)
{
    return lb->was_ready && wanted->port == 0 && told->port != 0 ? told : wanted;
}

static void add_workers(struct arguments *arguments, const struct node *node)
{
    for (size_t i = 0; i + 1 < node->child_count; i++) {
        char text[ADDRESS_TEXT_MAX];
        arguments_add(arguments, "--worker");
        arguments_add(arguments, "%zu=%s", i + 1,
                      address_format(&node->children[i].ready.link, text));
    }
}

static void lb_arguments(const struct node *node, struct arguments *arguments)
{
    const struct child *lb = &node->children[node->child_count - 1];
    const struct up_options *options = node->options;
    arguments_add(arguments, "%s/holdfast-lb", node->programs);
    add_address(arguments, "--coaps", listener(lb, &options->coaps, &lb->ready.coaps));
    add_address(arguments, "--coap", listener(lb, &options->coap, &lb->ready.coap));
    arguments_add(arguments, "--link");
    arguments_add(arguments, ANY_LOOPBACK); /* workers learn it from each frame */
    if (has_store(node))
        add_store(arguments, node);
    else
        add_workers(arguments, node);
    add_common(arguments, node);
    arguments_add(arguments, "--cid");
    arguments_add(arguments, "0:%llu", (unsigned long long)options->cid_length);
    arguments_add(arguments, "--threads");
    arguments_add(arguments, "%llu", (unsigned long long)options->threads);
}

void node_arguments(const struct node *node, const struct child *child, struct arguments *arguments)
{
    size_t index = (size_t)(child - node->children);
    if (index + 1 == node->child_count)
        lb_arguments(node, arguments);
    else
        worker_arguments(node, index + 1, arguments);
}
