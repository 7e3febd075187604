package api

import (
	"fmt"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"

	"onecard/registry"
)

// access says who may call an operation.
type access struct {
	level level
	// roles of which the operator has at least one. What exactly an operator
	// may do to an application or a card is decided by the workflow's table.
	roles []string
}

// level is how much a caller must show.
type level int

const (
	anonymous   level = iota + 1 // nothing
	workstation                  // the certificate of an enrolled workstation
	terminal                     // and an operator's token, where one is signed in
	operator                     // and an operator's token for that workstation
)

// Roles that work at an agency, and all.
var (
	agency = []string{registry.RoleClerk, registry.RoleReviewer, registry.RoleIssuer, registry.RoleSupervisor}
	anyone = append([]string{registry.RoleCashier, registry.RoleAdmin, registry.RoleProducer, registry.RoleStorekeeper}, agency...)
	keeper = []string{registry.RoleStorekeeper, registry.RoleSupervisor}
	chip   = append([]string{registry.RoleCashier}, agency...)
	// keepers change what is recorded of a resident.
	keepers = []string{registry.RoleClerk, registry.RoleSupervisor}
	// Who makes cards prints them.
	printers = []string{registry.RoleClerk, registry.RoleIssuer}
)

// policy is the whole of who may call what, by operationId. An operation
// without a line here fails the construction of the server.
var policy = map[string]access{
	"health":             {level: anonymous},
	"ready":              {level: anonymous},
	"signIn":             {level: workstation},
	"signOut":            {operator, anyone},
	"me":                 {operator, anyone},
	"places":             {operator, anyone},
	"findPersons":        {operator, agency},
	"addPerson":          {operator, []string{registry.RoleClerk}},
	"person":             {operator, agency},
	"personHistory":      {operator, agency},
	"personAt":           {operator, agency},
	"unmask":             {operator, agency},
	"correctPerson":      {operator, keepers},
	"mergePersons":       {operator, []string{registry.RoleSupervisor}},
	"undoMerge":          {operator, []string{registry.RoleSupervisor}},
	"duplicates":         {operator, []string{registry.RoleReviewer, registry.RoleSupervisor}},
	"decideDuplicate":    {operator, []string{registry.RoleSupervisor}},
	"personDetails":      {operator, agency},
	"putAddress":         {operator, keepers},
	"putGuardian":        {operator, keepers},
	"putGroup":           {operator, keepers},
	"attach":             {operator, keepers},
	"attachment":         {operator, agency},
	"refuseAttachment":   {operator, []string{registry.RoleReviewer, registry.RoleSupervisor}},
	"findApplications":   {operator, agency},
	"apply":              {operator, []string{registry.RoleClerk}},
	"fireApplication":    {operator, agency},
	"application":        {operator, agency},
	"amendApplication":   {operator, []string{registry.RoleClerk}},
	"proofPicture":       {operator, agency},
	"confirmProof":       {operator, []string{registry.RoleClerk}},
	"fireApplications":   {operator, agency},
	"askMinistry":        {operator, []string{registry.RoleClerk, registry.RoleReviewer}},
	"queues":             {operator, agency},
	"takeList":           {operator, []string{registry.RoleClerk}},
	"collectiveOrder":    {operator, agency},
	"collectiveResult":   {operator, agency},
	"collectiveHandout":  {operator, agency},
	"collectiveOrders":   {operator, agency},
	"collectiveRefused":  {operator, agency},
	"collectiveUnits":    {operator, agency},
	"fireCard":           {operator, agency},
	"cardTold":           {operator, agency},
	"cardActivation":     {operator, agency},
	"cardHandover":       {operator, agency},
	"handOver":           {operator, []string{registry.RoleClerk}},
	"askActivation":      {operator, []string{registry.RoleClerk}},
	"cardFace":           {operator, printers},
	"cardPrints":         {operator, agency},
	"recordPrint":        {operator, printers},
	"batches":            {operator, []string{registry.RoleProducer, registry.RoleSupervisor}},
	"batch":              {operator, []string{registry.RoleProducer, registry.RoleSupervisor}},
	"batchRows":          {operator, []string{registry.RoleProducer, registry.RoleSupervisor}},
	"createBatch":        {operator, []string{registry.RoleProducer}},
	"batchOutlook":       {operator, []string{registry.RoleProducer}},
	"scrapCards":         {operator, []string{registry.RoleProducer, registry.RoleSupervisor}},
	"closeBatch":         {operator, []string{registry.RoleSupervisor}},
	"invalidCards":       {operator, chip},
	"openChipSession":    {operator, chip},
	"stepChipSession":    {operator, chip},
	"submitTransaction":  {operator, []string{registry.RoleCashier}},
	"transaction":        {operator, []string{registry.RoleCashier, registry.RoleSupervisor}},
	"reverseTransaction": {operator, []string{registry.RoleCashier}},
	"stockView":          {operator, append([]string{registry.RoleIssuer}, keeper...)},
	"stockHoldings":      {operator, append([]string{registry.RoleIssuer}, keeper...)},
	"stockConsignment":   {operator, append([]string{registry.RoleIssuer}, keeper...)},
	"stockStory":         {operator, append([]string{registry.RoleIssuer}, keeper...)},
	"stockUnclaimed":     {operator, append([]string{registry.RoleIssuer}, keeper...)},
	"announceDelivery":   {operator, keeper},
	"packBox":            {operator, keeper},
	"openBox":            {operator, keeper},
	"sendBoxes":          {operator, keeper},
	"acceptConsignment":  {operator, keeper},
	"lendBlanks":         {operator, keeper},
	"returnLease":        {operator, keeper},
	"reportCards":        {operator, keeper},
	"destroyCards":       {operator, keeper},
	"closeDay":           {operator, keeper},
	"closeIncident":      {operator, []string{registry.RoleSupervisor}},
	// Who may use which service with which key says exchange/authentication/policy.yaml.
	"rules":               {operator, []string{registry.RoleSupervisor}},
	"authenticate":        {level: terminal},
	"authenticateMessage": {level: terminal},
}

// allowedTo are the operations that an operator's roles allow, sorted: a page
// offers no others.
func allowedTo(o registry.Operator) []string {
	may := []string{}
	for id, rule := range policy {
		if rule.level == operator && slices.ContainsFunc(rule.roles, o.Has) {
			may = append(may, id)
		}
	}
	slices.Sort(may)
	return may
}

// contractLevels are the levels that the contract's security of an operation
// can mean: a token is needed unless it says otherwise, and welcome where an
// empty line stands beside that of the token.
func contractLevels(security *openapi3.SecurityRequirements) []level {
	switch {
	case security == nil:
		return []level{operator}
	case len(*security) == 0:
		return []level{anonymous, workstation}
	default:
		return []level{terminal}
	}
}

// checkPolicy makes sure that table and contract speak of the same operations
// and that the contract asks for a token exactly where the table does.
func checkPolicy(table map[string]access, routes map[string]*routers.Route) error {
	for id, route := range routes {
		rule, ok := table[id]
		if !ok {
			return fmt.Errorf("api: policy: operation %s has no line", id)
		}
		if rule.level < anonymous || rule.level > operator || (rule.level == operator) != (len(rule.roles) > 0) {
			return fmt.Errorf("api: policy: operation %s: level and roles do not fit", id)
		}
		if !slices.Contains(contractLevels(route.Operation.Security), rule.level) {
			return fmt.Errorf("api: policy: operation %s: the contract says otherwise", id)
		}
		for _, role := range rule.roles {
			if !slices.Contains(anyone, role) {
				return fmt.Errorf("api: policy: operation %s: unknown role %s", id, role)
			}
		}
	}
	for id := range table {
		if routes[id] == nil {
			return fmt.Errorf("api: policy: no operation %s", id)
		}
	}
	return nil
}
