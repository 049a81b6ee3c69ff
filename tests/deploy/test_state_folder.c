#include "deploy/state_folder.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
