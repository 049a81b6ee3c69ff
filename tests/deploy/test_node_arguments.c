#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "deploy/node.h"

static struct node node;

static struct address at(const char *text)
{
    struct address address;
    cr_assert_eq(address_parse(&address, text), STATUS_OK);
    return address;
}

static void make_node(void)
{
    up_options.coaps = at("0.0.0.0:0");
    up_options.coap = at("[::1]:5683");
    up_options.psks.descriptor = 9;
    up_options.cid_length = 12;
    up_options.threads = 2;
    node = (struct node){.options = &up_options, .child_count = 3};
    strcpy(node.programs, "/opt/holdfast");
    strcpy(node.key_file, "/proc/self/fd/8");
    for (int i = 0; i < 2; i++) {
        node.children[i].was_ready = true;
        node.children[i].ready.link = at(i ? "127.0.0.1:7002" : "127.0.0.1:7001");
    }
}

/* The whole command line of this child. */
static const char *line_of(size_t index)
{
    static char line[2048];
    struct arguments arguments = {0};
    size_t length = 0;
    node_arguments(&node, &node.children[index], &arguments);
    cr_assert_not(arguments.failed);
    line[0] = '\0';
    for (size_t i = 0; i < arguments.count; i++)
        length += (size_t)snprintf(line + length, sizeof line - length, "%s%s", i ? " " : "",
                                   arguments.list[i]);
    arguments_free(&arguments);
    return line;
}

TestSuite(node_arguments, .init = make_node);

Test(node_arguments, worker)
{
    cr_assert_str_eq(line_of(1), "/opt/holdfast/holdfast-worker --id 2 --link 127.0.0.1:7002 "
                                 "--cluster-key-file /proc/self/fd/8 --http 127.0.0.1:0 --io auto "
                                 "--log info --cid-length 12 --psk-file /proc/self/fd/9");
    up_options.plugtest = true;
    cr_assert(strstr(line_of(1), " --plugtest "));
    up_options.plugtest = false;
    node.children[1].was_ready = false;
    cr_assert(strstr(line_of(1), " --link 127.0.0.1:0 "), "its first life");
}

Test(node_arguments, lb)
{
    cr_assert_str_eq(line_of(2), "/opt/holdfast/holdfast-lb --coaps 0.0.0.0:0 --coap [::1]:5683 "
                                 "--link 127.0.0.1:0 --worker 1=127.0.0.1:7001 "
                                 "--worker 2=127.0.0.1:7002 --cluster-key-file /proc/self/fd/8 "
                                 "--http 127.0.0.1:0 --io auto --log info --cid 0:12 --threads 2");
    node.children[2].was_ready = true;
    node.children[2].ready.coaps = at("0.0.0.0:40001");
    node.children[2].ready.coap = at("[::1]:5683");
    cr_assert(strstr(line_of(2), " --coaps 0.0.0.0:40001 --coap [::1]:5683 "),
              "devices know the port that the kernel chose");
}

Test(node_arguments, with_a_store_workers_and_lb_meet_there)
{
    strcpy(node.store_url, "lmdb:/var/lib/hold fast");
    cr_assert_str_eq(line_of(0), "/opt/holdfast/holdfast-worker --id 1 --link 127.0.0.1:7001 "
                                 "--cluster-key-file /proc/self/fd/8 --http 127.0.0.1:0 --io auto "
                                 "--log info --store lmdb:/var/lib/hold fast --cid-length 12 "
                                 "--psk-file /proc/self/fd/9");
    cr_assert_str_eq(line_of(2), "/opt/holdfast/holdfast-lb --coaps 0.0.0.0:0 --coap [::1]:5683 "
                                 "--link 127.0.0.1:0 --store lmdb:/var/lib/hold fast "
                                 "--cluster-key-file /proc/self/fd/8 "
                                 "--http 127.0.0.1:0 --io auto --log info --cid 0:12 --threads 2");
}

Test(node_arguments, store_with_a_password_is_named_in_a_file)
{
    strcpy(node.store_file, "/proc/self/fd/10");
    cr_assert(strstr(line_of(0), " --config /proc/self/fd/10 "));
    cr_assert(strstr(line_of(2), " --config /proc/self/fd/10 "));
    cr_assert_null(strstr(line_of(2), " --worker "));
    cr_assert_null(strstr(line_of(2), " --store "));
}

Test(node_arguments, largest_node_fits)
{
    node.child_count = UP_WORKERS_MAX + 1;
    for (size_t i = 0; i < UP_WORKERS_MAX; i++)
        node.children[i].ready.link = at("[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
    struct arguments arguments = {0};
    node_arguments(&node, &node.children[UP_WORKERS_MAX], &arguments);
    arguments_add(&arguments, "--ready-fd");
    arguments_add(&arguments, "10");
    cr_assert_not(arguments.failed);
    arguments_free(&arguments);
}
