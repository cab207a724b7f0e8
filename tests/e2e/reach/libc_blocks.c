/* Makes libc and the loader keep blocks of their own. Nothing here is the program's. */
#include <dlfcn.h>
#include <iconv.h>
#include <locale.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "note.h"

static void on_timer(union sigval value) { (void)value; }

static void* wait_forever(void* unused) {
  (void)unused;
  pause();
  return NULL;
}

int main(int argc, char** argv) {
  static timer_t timer;
  static pthread_t thread;
  static iconv_t conversion;
  struct sigevent event;
  setlocale(LC_ALL, "C.UTF-8");
  setenv("RESIDUE_TEST_VARIABLE", "a value that putenv() copies to the heap", 1);
  setenv("RESIDUE_TEST_VARIABLE", "another one", 1);
  for (int i = 1; i < argc; ++i) {
    if (dlopen(argv[i], RTLD_LAZY | RTLD_GLOBAL) == NULL) return 2;
  }
  if (dlopen("libresidue-no-such-library.so", RTLD_LAZY) == NULL) dlerror();
  dlsym(RTLD_DEFAULT, "residue_no_such_symbol");
  conversion = iconv_open("UTF-16", "ISO-8859-15");
  getpwuid(getuid());
  getservbyname("http", "tcp");
  setlinebuf(stdout);
  tzset();
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD;
  event.sigev_notify_function = on_timer;
  timer_create(CLOCK_MONOTONIC, &event, &timer);
  pthread_create(&thread, NULL, wait_forever, NULL);
  wait_for_the_test();
  _exit(conversion == (iconv_t)-1);
}
