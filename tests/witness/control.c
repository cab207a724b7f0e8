#define _GNU_SOURCE
#include "control.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "live_table.h"
#include "scrub.h"
#include "truth.h"

// Recording starts with the first call, long before the constructor can read the environment:
// the blocks of ld.so and of other constructors count as well. The constructor may end it.
static atomic_bool recording = true;

static struct {
  char out[PATH_MAX];
  bool at_exit;
  bool at_signal;
  size_t at_allocation;  // 0: not asked for
  size_t drop_period;    // 0: drop nothing
  pid_t owner;           // 0 until the constructor has decided
} config;

static truth_counters counters;

bool is_recording(void) { return atomic_load(&recording); }

// ---- The lock: 0 free, 1 held, 2 held and waited for (Drepper's "Futexes are tricky"). --------

static atomic_int lock_state;
static atomic_bool freeze_requested;

static void lock_wait(void) {
  const int saved_errno = errno;
  while (atomic_exchange(&lock_state, 2) != 0) {
    syscall(SYS_futex, &lock_state, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
  }
  errno = saved_errno;
}

static bool try_lock(void) {
  int expected = 0;
  return atomic_compare_exchange_strong(&lock_state, &expected, 1);
}

static void lock(void) {
  if (!try_lock()) lock_wait();
}

static void unlock(void) {
  if (atomic_exchange(&lock_state, 0) != 2) return;
  const int saved_errno = errno;
  syscall(SYS_futex, &lock_state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  errno = saved_errno;
}

// ---- Freezing. ---------------------------------------------------------------------------------

// A child that shares this memory (vfork) runs this code too, and is not the one to freeze.
static bool is_owner(void) { return getpid() == config.owner; }

// Called with the lock held, which is never given back.
__attribute__((noreturn)) static void freeze(const char* at) {
  counters.at = at;
  write_truth(config.out, &counters);
  scrub_stale_pointers();
  for (;;) pause();
}

void freeze_if_ending(void) {
  if (!config.at_exit || !is_recording() || !is_owner()) return;
  lock();
  freeze("exit");
}

// Raise the flag first, then try the lock: either the lock is taken here, or its holder, who
// looks at the flag after letting go, sees it.
static void freeze_if_possible(void) {
  if (atomic_load(&freeze_requested) && is_owner() && try_lock()) freeze("signal");
}

static void on_signal(int signal_number) {
  (void)signal_number;
  if (!is_recording()) return;
  atomic_store(&freeze_requested, true);
  freeze_if_possible();
}

void enter(void) { lock(); }

void enter_allocation(void) {
  lock();
  ++counters.allocations;
  if (counters.allocations == config.at_allocation && is_owner()) freeze("allocs");
}

void leave(void) {
  unlock();
  freeze_if_possible();
}

// ---- Bookkeeping, under the lock. --------------------------------------------------------------

void record_block(const void* block, size_t requested) {
  if (block != NULL) live_table_insert(block, requested);
}

void forget_block(const void* block) {
  if (!live_table_remove(block)) ++counters.unknown_frees;
}

bool free_is_dropped(const void* block) {
  ++counters.frees;
  if (config.drop_period == 0 || counters.frees % config.drop_period != 0) return false;
  return live_table_plant(block);
}

// ---- Set-up. -----------------------------------------------------------------------------------

static bool is_named(const char* name) {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  if (length > 0) {
    path[length] = '\0';
    const char* const slash = strrchr(path, '/');
    if (strcmp(path, name) == 0 || (slash != NULL && strcmp(slash + 1, name) == 0)) return true;
  }
  return strcmp(program_invocation_name, name) == 0 ||
         strcmp(program_invocation_short_name, name) == 0;
}

// The program may change its directory before the file is written.
static bool set_out(const char* path) {
  const size_t length = strlen(path);
  size_t prefix = 0;
  if (path[0] != '/') {
    if (getcwd(config.out, sizeof config.out) == NULL) return false;
    prefix = strlen(config.out);
    if (prefix + 1 < sizeof config.out) config.out[prefix++] = '/';
  }
  if (prefix + length >= sizeof config.out) return false;
  memcpy(config.out + prefix, path, length + 1);
  return true;
}

static size_t number_in(const char* text) {
  return text == NULL ? 0 : (size_t)strtoull(text, NULL, 10);
}

// Not unsetenv: bash exports one of its own, which knows nothing of the environment yet.
static void remove_from_environment(const char* assignment) {
  char** kept = environ;
  for (char** entry = environ; *entry != NULL; ++entry) {
    if (strncmp(*entry, assignment, strlen(assignment)) != 0) *kept++ = *entry;
  }
  *kept = NULL;
}

static void before_fork(void) { lock(); }
static void after_fork_in_parent(void) { leave(); }
static void after_fork_in_child(void) {
  atomic_store(&recording, false);
  atomic_store(&lock_state, 0);
}

__attribute__((constructor)) static void configure(void) {
  const char* const out = getenv("RESIDUE_WITNESS_OUT");
  const char* const exe = getenv("RESIDUE_WITNESS_EXE");
  if (out == NULL || (exe != NULL && !is_named(exe)) || !set_out(out)) {
    lock();
    atomic_store(&recording, false);
    live_table_discard();
    unlock();
    return;
  }
  const char* const at = getenv("RESIDUE_WITNESS_AT");
  config.at_exit = at == NULL || strcmp(at, "exit") == 0;
  config.at_signal = at != NULL && strcmp(at, "signal") == 0;
  if (at != NULL && strncmp(at, "allocs:", 7) == 0) config.at_allocation = number_in(at + 7);
  config.drop_period = number_in(getenv("RESIDUE_WITNESS_DROP"));
  config.owner = getpid();
  remove_from_environment("RESIDUE_WITNESS_OUT=");
  pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  if (config.at_signal) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR2, &action, NULL);
  }
}
