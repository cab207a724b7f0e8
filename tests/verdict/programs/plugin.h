// The interface between verdict_programs and the library that its theme `plugin` loads.
#pragma once

#include <cstddef>

using PluginMake = void* (*)(const char* name, std::size_t size, const char* expected);
using PluginBuild = void (*)(PluginMake make);
