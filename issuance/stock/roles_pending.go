package stock

// RoleStorekeeper is 库管员. It stands here until the registry has it among its
// roles; remove it then.
const RoleStorekeeper = "storekeeper"
