# Everything native is built by CMake; this only lets node-gyp-build and prebuildify reach it.
{
  "targets": [{
    "target_name": "magnets",
    "type": "none",
    "actions": [{
      "action_name": "cmake_js_build",
      "inputs": ["CMakeLists.txt"],
      "outputs": ["<(PRODUCT_DIR)/magnets.node"],
      "action": [
        "node", "<!(node -p \"require.resolve('cmake-js/bin/cmake-js')\")", "build",
        "--directory", "<(module_root_dir)",
        "--out", "<(module_root_dir)/build/<(CONFIGURATION_NAME)",
        "--config", "<(CONFIGURATION_NAME)"
      ]
    }]
  }]
}
