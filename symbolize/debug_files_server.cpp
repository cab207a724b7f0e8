#include "symbolize/debug_files_server.h"

#include <dlfcn.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <system_error>

namespace residue {
namespace {

// The functions as debuginfod_find_debuginfo(3) documents them (elfutils 0.178 and later; the
// library's soname has been libdebuginfod.so.1 since then). A length of 0 says that the build-id is
// hexadecimal text. They return a file descriptor, or a negative errno.
using Begin = void* (*)();
using Find = int (*)(void* client, const unsigned char* build_id, int length, char** path);
using End = void (*)(void* client);

struct Library {
  Begin begin = nullptr;
  Find find_debuginfo = nullptr;
  Find find_executable = nullptr;
  End end = nullptr;

  Library() {
    void* handle = dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return;
    // Never closed: libcurl does not like to be.
    begin = std::bit_cast<Begin>(dlsym(handle, "debuginfod_begin"));
    find_debuginfo = std::bit_cast<Find>(dlsym(handle, "debuginfod_find_debuginfo"));
    find_executable = std::bit_cast<Find>(dlsym(handle, "debuginfod_find_executable"));
    end = std::bit_cast<End>(dlsym(handle, "debuginfod_end"));
  }
  bool usable() const {
    return begin != nullptr && find_debuginfo != nullptr && find_executable != nullptr &&
           end != nullptr;
  }
};

}  // namespace

Result<std::string> fetch_from_debuginfod(ServerFile kind, const std::string& build_id) {
  const char* urls = std::getenv("DEBUGINFOD_URLS");
  if (urls == nullptr || *urls == '\0') {
    return Error{ErrorCode::kUnsupported, "DEBUGINFOD_URLS is not set", {}};
  }
  static const Library library;
  if (!library.usable()) {
    return Error{ErrorCode::kUnsupported, "libdebuginfod.so.1 is not installed", {}};
  }
  // A client serves one thread; connections are not worth keeping for a few files.
  const std::unique_ptr<void, End> client(library.begin(), library.end);
  if (client == nullptr) return Error{ErrorCode::kInternal, "libdebuginfod does not start", {}};
  char* path = nullptr;
  const auto* id = static_cast<const unsigned char*>(static_cast<const void*>(build_id.c_str()));
  const Find find =
      kind == ServerFile::kDebugInfo ? library.find_debuginfo : library.find_executable;
  const int fd = find(client.get(), id, 0, &path);
  const std::unique_ptr<char, void (*)(void*)> owned(path, std::free);
  if (fd >= 0) {
    close(fd);
    if (path == nullptr) return Error{ErrorCode::kInternal, "debuginfod gave no path", {}};
    return std::string(path);
  }
  const std::string why = std::generic_category().message(-fd);
  return Error{fd == -ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, "debuginfod: " + why, {}};
}

}  // namespace residue
