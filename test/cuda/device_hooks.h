// What a test asks of the device itself; done by the emulator, or by the GPU's own means.
#pragma once

namespace magnets::test {

/// As long as it lives the device has next to no free memory.
class LittleMemory {
 public:
  LittleMemory();
  ~LittleMemory();

 private:
  void* taken_ = nullptr;
};

}  // namespace magnets::test
