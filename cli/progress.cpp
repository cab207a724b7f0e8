#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>

#include "formats/base/text.h"

namespace residue {
namespace {

constexpr size_t kBarWidth = 20;
// Longer names are cut, so that the line stays one on a terminal of 80 columns.
constexpr size_t kMaxName = 32;
constexpr std::chrono::milliseconds kRedraw(100);

std::string short_name(const std::string& path) {
  std::string name = printable(base_name(path));
  if (name.size() > kMaxName) name = printable(name.substr(0, kMaxName - 1)) + "~";
  return name;
}

}  // namespace

Progress::Progress(std::ostream& err, bool shown, const std::string& path,
                   std::chrono::milliseconds patience)
    : err_(err),
      wanted_(shown),
      name_(short_name(path)),
      patience_(patience),
      start_(Clock::now()) {}

Progress::~Progress() {
  if (shown_) err_ << "\r\x1b[K" << std::flush;
}

bool Progress::is_terminal() { return isatty(STDERR_FILENO) == 1; }

void Progress::stage(const char* name) {
  if (wanted_) show(std::string(name) + " …", Clock::now());
}

void Progress::bar(const char* name, uint64_t done, uint64_t total) {
  if (!wanted_ || total == 0) return;
  const auto now = Clock::now();
  if (now - last_bar_ < kRedraw) return;
  last_bar_ = now;
  const double part = static_cast<double>(std::min(done, total)) / static_cast<double>(total);
  const auto filled = static_cast<size_t>(part * kBarWidth);
  std::string bar(filled, '=');
  if (filled < kBarWidth) bar += '>';
  bar.resize(kBarWidth, ' ');
  std::string percent = std::to_string(static_cast<unsigned>(part * 100));
  percent.insert(0, 3 - percent.size(), ' ');
  show(std::string(name) + " [" + bar + "] " + percent + " %", now);
}

void Progress::show(const std::string& text, Clock::time_point now) {
  if (now - start_ < patience_) return;
  err_ << "\r\x1b[K" << name_ << ": " << text << std::flush;
  shown_ = true;
}

}  // namespace residue
