// Node-API's functions on Windows, looked up in the program that runs when the addon is loaded: node.exe, Electron, or
// any other that has them. A declaration with dllimport calls through a pointer of this name, which an import library
// would define for one program's name.
#include <windows.h>

#include <initializer_list>

namespace {

void* find(const char* name) {
  for (const char* module : {static_cast<const char*>(nullptr), "node.dll", "libnode.dll"}) {
    const HMODULE handle = GetModuleHandleA(module);
    if (handle == nullptr) continue;
    if (void* found = reinterpret_cast<void*>(GetProcAddress(handle, name))) return found;
  }
  return nullptr;  // newer than the version that the addon says it needs
}

}  // namespace

#define FUNCTION(name)              \
  extern "C" {                      \
  void* __imp_##name = find(#name); \
  }
#include "node_api_functions.inc"
