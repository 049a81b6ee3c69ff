#include "deploy/state_folder.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/deploy/capture.h"

TestSuite(state_folder, .fini = capture_folder_remove);

Test(state_folder, path_follows_the_environment)
{
    char path[STATE_PATH_MAX];
    setenv("HOME", "/home/x", 1);
    unsetenv("XDG_STATE_HOME");
    cr_assert_eq(state_folder_path(NULL, path), STATUS_OK);
    cr_assert_str_eq(path, "/home/x/.local/state/holdfast");
    setenv("XDG_STATE_HOME", "relative", 1);
    cr_assert_eq(state_folder_path(NULL, path), STATUS_OK);
    cr_assert_str_eq(path, "/home/x/.local/state/holdfast", "a relative one does not count");
    setenv("XDG_STATE_HOME", "/state", 1);
    cr_assert_eq(state_folder_path(NULL, path), STATUS_OK);
    cr_assert_str_eq(path, "/state/holdfast");
    cr_assert_eq(state_folder_path("here", path), STATUS_OK);
    cr_assert_str_eq(path, "here");
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    cr_assert_eq(state_folder_path(NULL, path), STATUS_NOT_FOUND);
    static char long_path[STATE_PATH_MAX];
    memset(long_path, 'x', sizeof long_path - 1);
    cr_assert_eq(state_folder_path(long_path, path), STATUS_TOO_LONG);
}

Test(state_folder, is_made_with_what_is_above_it_and_private)
{
    char path[STATE_PATH_MAX];
    struct stat found;
    snprintf(path, sizeof path, "%s/a/b/holdfast", capture_folder());
    umask(0);
    cr_assert_eq(state_folder_make(path), STATUS_OK);
    cr_assert_eq(stat(path, &found), 0);
    cr_assert_eq(found.st_mode & 0777, 0700);
    cr_assert_eq(state_folder_make(path), STATUS_OK, "it may be there");

    cr_assert_eq(state_folder_make(capture_file("file", "")), STATUS_SYSTEM);
    cr_assert_eq(errno, ENOTDIR);
    snprintf(path, sizeof path, "%s/file/below", capture_folder());
    cr_assert_eq(state_folder_make(path), STATUS_SYSTEM);
    cr_assert_eq(state_folder_make(""), STATUS_SYSTEM);
}

Test(state_folder, key_is_written_whole_private_and_read_back)
{
    struct cluster_key key, read_back;
    char path[STATE_PATH_MAX];
    struct stat found;
    umask(0);
    state_folder_key_path(capture_folder(), path);
    for (int round = 0; round < 2; round++) {
        memset(key.bytes, 0x5a + round, sizeof key.bytes);
        cr_assert_eq(state_folder_write_key(capture_folder(), &key), STATUS_OK);
        cr_assert_eq(keys_read_file(&read_back, path), STATUS_OK);
        cr_assert_arr_eq(read_back.bytes, key.bytes, sizeof key.bytes);
        cr_assert_eq(stat(path, &found), 0);
        cr_assert_eq(found.st_mode & 0777, 0600);
    }
    DIR *folder = opendir(capture_folder());
    size_t entries = 0;
    while (readdir(folder))
        entries++;
    closedir(folder);
    cr_assert_eq(entries, 3, "., .. and the key: nothing is left over");
    cr_assert_eq(state_folder_write_key("/nonexistent", &key), STATUS_SYSTEM);
    cr_assert_eq(errno, ENOENT);
}

Test(state_folder, store_key_is_made_once_and_never_replaced)
{
    struct cluster_key first, second;
    char path[STATE_PATH_MAX];
    struct stat found;
    umask(0);
    state_folder_store_key_path(capture_folder(), path);
    cr_assert_eq(state_folder_keep_store_key(capture_folder(), &first), STATUS_OK);
    cr_assert_eq(stat(path, &found), 0);
    cr_assert_eq(found.st_mode & 0777, 0600);
    cr_assert_eq(state_folder_keep_store_key(capture_folder(), &second), STATUS_OK);
    cr_assert_arr_eq(first.bytes, second.bytes, sizeof first.bytes);

    /* The key of the last `up` is another file. */
    memset(second.bytes, 0x5a, sizeof second.bytes);
    cr_assert_eq(state_folder_write_key(capture_folder(), &second), STATUS_OK);
    cr_assert_eq(state_folder_keep_store_key(capture_folder(), &second), STATUS_OK);
    cr_assert_arr_eq(first.bytes, second.bytes, sizeof first.bytes);

    (void)capture_file("store.key", "half a k");
    cr_assert_eq(state_folder_keep_store_key(capture_folder(), &second), STATUS_MALFORMED);
    cr_assert_eq(stat(path, &found), 0);
    cr_assert_eq(found.st_size, 8, "it is left as it is");
    cr_assert_eq(state_folder_keep_store_key("/nonexistent", &second), STATUS_SYSTEM);
}

/* Many that begin at once end up with one key. */
Test(state_folder, store_key_is_the_same_for_all_who_begin_at_once)
{
    enum { PROCESSES = 8 };
    struct cluster_key keys[PROCESSES];
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    (void)capture_folder();
    for (size_t i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            struct cluster_key key;
            bool ok = state_folder_keep_store_key(capture_folder(), &key) == STATUS_OK &&
                      write(ends[1], &key, sizeof key) == (ssize_t)sizeof key;
            _exit(ok ? 0 : 1);
        }
    }
    for (size_t i = 0; i < PROCESSES; i++) {
        int status;
        cr_assert_gt(wait(&status), 0);
        cr_assert_eq(status, 0);
        cr_assert_eq(read(ends[0], &keys[i], sizeof keys[i]), (ssize_t)sizeof keys[i]);
        cr_assert_arr_eq(keys[i].bytes, keys[0].bytes, sizeof keys[0].bytes);
    }
    close(ends[0]);
    close(ends[1]);
}
