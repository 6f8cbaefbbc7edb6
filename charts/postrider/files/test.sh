# Engines, schema, topics and secrets, as the services see them.
postrider doctor --running
[ "$DELIVERY" = yes ] || exit 0

# Then a notification from end to end: accepted, parked since nobody is there, and delivered to whoever comes.
recipient="chart-test-$(date +%s)-$$"
POSTRIDER_API_KEY=$(postrider key create --label 'chart test' --days 1)
export POSTRIDER_API_KEY
trap 'postrider key revoke "$POSTRIDER_API_KEY"' EXIT
POSTRIDER_TOKEN=$(postrider token create --recipient "$recipient" --ttl 300 ${AUTH_ISSUER:+--issuer "$AUTH_ISSUER"} ${AUTH_AUDIENCE:+--audience "$AUTH_AUDIENCE"})
export POSTRIDER_TOKEN
postrider send "$recipient" 'delivered' --ttl 300
timeout 60 postrider listen "$recipient" --count 1
